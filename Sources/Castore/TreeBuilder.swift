/// One entry of a tree that comes as a stream: from an archive, from a walk of a file system.
public struct IngestionEntry: Hashable, Sendable {
  /// What stands at a path.
  public enum Content: Hashable, Sendable {
    /// A directory, whose entries came before.
    case directory
    /// A file whose contents are stored, or being stored.
    case file(digest: B3Digest, size: UInt64, isExecutable: Bool)
    /// A symbolic link.
    case symlink(target: SymlinkTarget)
  }

  /// Where it stands; the root of the tree has a path of one name.
  public var path: CastorePath
  /// What stands there.
  public var content: Content

  /// Joins a path and what stands there.
  public init(path: CastorePath, content: Content) {
    self.path = path
    self.content = content
  }
}

/// Turns a stream of entries, children before their parents, into directories.
///
/// The last entry has a path of one name and is the root. Siblings may come in any order. Holds the
/// entries of those directories that have not come yet, no more.
public struct TreeBuilder: Sendable {
  private let sizeRule: DirectorySizeRule
  // The entries, so far, of directories that have not come themselves.
  private var pending: [CastorePath: [PathComponent: Node]] = [:]
  private var root: NamedNode?

  /// Starts an empty tree.
  public init(sizeRule: DirectorySizeRule = .specified) {
    self.sizeRule = sizeRule
  }

  /// Takes the next entry.
  ///
  /// - Parameters:
  ///   - entry: The entry.
  ///   - store: Called at once where the entry is a directory: stores it and returns its digest.
  ///     All directories that it refers to were given to it before.
  /// - Throws: What is wrong with the entry; the builder is then of no further use.
  public mutating func add(
    _ entry: IngestionEntry,
    storing store: (Directory) throws(ServiceError) -> B3Digest
  ) throws(IngestionError) {
    let path = entry.path
    guard let name = path.lastComponent, let parent = path.parent else { throw .emptyPath }
    if root != nil { throw .entryAfterRoot(path) }

    let node: Node
    switch entry.content {
    case .directory: node = try finish(path, storing: store)
    case .file(let digest, let size, let isExecutable):
      node = .file(digest: digest, size: size, isExecutable: isExecutable)
    case .symlink(let target): node = .symlink(target: target)
    }
    if !entry.isDirectory && pending[path] != nil { throw .notADirectory(path) }

    if parent.isRoot {
      // What is still open belongs to no directory that could come.
      if let (orphan, _) = pending.min(by: { $0.key.bytes.precedes($1.key.bytes) }) {
        throw .missingDirectory(orphan)
      }
      root = NamedNode(name: name, node: node)
      return
    }
    if pending[parent] == nil { try checkIsOpen(parent) }
    if pending[parent]?[name] != nil { throw .duplicateEntry(path) }
    pending[parent, default: [:]][name] = node
  }

  /// Ends the stream.
  ///
  /// - Returns: The root of the tree.
  /// - Throws: `.unexpectedEnd` where no root came.
  public consuming func finish() throws(IngestionError) -> NamedNode {
    if let root { return root }
    throw .unexpectedEnd(inside: pending.keys.min { $0.bytes.precedes($1.bytes) })
  }

  private mutating func finish(
    _ path: CastorePath,
    storing store: (Directory) throws(ServiceError) -> B3Digest
  ) throws(IngestionError) -> Node {
    let entries = pending.removeValue(forKey: path) ?? [:]
    let directory: Directory
    do throws(DirectoryError) {
      directory = try Directory(entries.lazy.map { NamedNode(name: $0, node: $1) })
    } catch {
      throw .invalidDirectory(path, error)
    }
    do throws(ServiceError) {
      let digest = try store(directory)
      return .directory(digest: digest, size: directory.size(rule: sizeRule))
    } catch {
      throw .notStored(path, error)
    }
  }

  // A directory that gets its first entry must not have come before, nor any above it.
  private func checkIsOpen(_ path: CastorePath) throws(IngestionError) {
    var path = path
    while let name = path.lastComponent, let parent = path.parent, !parent.isRoot {
      if let node = pending[parent]?[name] {
        throw node.kind == .directory ? .entryAfterParent(path) : .notADirectory(path)
      }
      path = parent
    }
  }
}

extension IngestionEntry {
  fileprivate var isDirectory: Bool { content == .directory }
}

/// Why a stream of entries is not a tree.
public enum IngestionError: Error, Sendable {
  /// An entry without a name.
  case emptyPath
  /// An entry that follows the root.
  case entryAfterRoot(CastorePath)
  /// An entry in or below a directory that came before it. The path is the directory's.
  case entryAfterParent(CastorePath)
  /// An entry below a file or a link. The path is that of the file or link.
  case notADirectory(CastorePath)
  /// Two entries for one path.
  case duplicateEntry(CastorePath)
  /// Entries lie in a directory that never came. The path is the directory's.
  case missingDirectory(CastorePath)
  /// The stream ended before the root came; `nil` where nothing came at all.
  case unexpectedEnd(inside: CastorePath?)
  /// The entries of a directory do not make one.
  case invalidDirectory(CastorePath, DirectoryError)
  /// A directory could not be stored.
  case notStored(CastorePath, ServiceError)
}

extension IngestionError: CustomStringConvertible {
  /// One sentence for a person.
  public var description: String {
    switch self {
    case .emptyPath: "an entry has an empty path"
    case .entryAfterRoot(let path): "\(path) comes after the root of the tree"
    case .entryAfterParent(let path): "an entry inside \(path) comes after \(path) itself"
    case .notADirectory(let path): "an entry lies below \(path), which is not a directory"
    case .duplicateEntry(let path): "\(path) comes twice"
    case .missingDirectory(let path): "there are entries inside \(path), but it never comes itself"
    case .unexpectedEnd(inside: let path?): "the entries end inside \(path)"
    case .unexpectedEnd(inside: nil): "there are no entries"
    case .invalidDirectory(let path, let error): "\(path): \(error)"
    case .notStored(let path, let error): "cannot store \(path): \(error)"
    }
  }
}
