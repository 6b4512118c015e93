/// Why directories are not one closure.
public enum DirectoryGraphError: Error, Hashable, Sendable {
  /// There are no directories at all.
  case empty
  /// An entry refers to a directory that did not come before (leaves first), or at all.
  case unknownReference(name: PathComponent, digest: B3Digest)
  /// A directory came that nothing before refers to (root first).
  case unexpectedDirectory(B3Digest)
  /// An entry states a size that is not that of the directory it refers to.
  case wrongSize(name: PathComponent, specified: UInt64, recorded: UInt64)
  /// Several directories have nobody that refers to them.
  case noSingleRoot([B3Digest])
  /// Directories that are referred to never came (root first).
  case incomplete(missing: B3Digest, count: Int)
  /// More directories, or more bytes of them, than the limit.
  case tooLarge
}

extension DirectoryGraphError: CustomStringConvertible {
  /// One sentence for a person.
  public var description: String {
    switch self {
    case .empty:
      "no directories were given"
    case .unknownReference(let name, let digest):
      "unknown directory was referenced: \"\(name)\" is \(digest)"
    case .unexpectedDirectory(let digest):
      "unexpected directory \(digest): nothing before refers to it"
    case .wrongSize(let name, let specified, let recorded):
      "\"\(name)\" has wrong size, specified \(specified), recorded \(recorded)"
    case .noSingleRoot(let roots):
      "the directories have no single root: nothing refers to any of \(shown(roots))"
    case .incomplete(let missing, let count):
      "the directories are incomplete: \(count) are missing, \(missing) among them"
    case .tooLarge:
      "too many or too large directories for one closure"
    }
  }

  private func shown(_ roots: [B3Digest]) -> String {
    let names = roots.prefix(3).map(\.description).joined(separator: ", ")
    return roots.count > 3 ? "\(names) and \(roots.count - 3) more" : names
  }
}

extension ServiceError {
  /// A closure of directories that does not hold together.
  public init(_ error: DirectoryGraphError) {
    self.init(.invalidArgument, error.description, cause: nil)
  }
}
