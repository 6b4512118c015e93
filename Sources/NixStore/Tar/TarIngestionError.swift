public import Castore

/// Why a tar archive did not become a tree. Nothing refers to what was stored of it.
public enum TarIngestionError: Error, Sendable {
  /// The archive cannot be read: what the reader said, and after which entry.
  case unreadable(String, after: String?)
  /// The path of an entry is not one inside a tree.
  case invalidPath(path: String, CastorePathError)
  /// The path of an entry is deeper than allowed.
  case tooDeep(path: String, limit: Int)
  /// A hard link to something that is no file or symbolic link of the archive before it.
  case danglingLink(path: String, to: String)
  /// An entry that is neither file, directory nor link.
  case unsupportedEntry(path: String, type: String)
  /// The target of a symbolic link is none.
  case invalidTarget(path: String, SymlinkTargetError)
  /// An entry lies below another that is not a directory.
  case notADirectory(path: String, below: String)
  /// A file has fewer bytes than its header says.
  case wrongSize(path: String, expected: UInt64, got: UInt64)
  /// The archive holds nothing that is taken, or several entries beside each other without a directory
  /// around them.
  case unexpectedRoots(count: Int)
  /// The archive has more entries than may be in memory.
  case tooManyEntries(limit: Int)
  /// A directory is not one that can be stored.
  case invalidDirectory(DirectoryError)
  /// The store failed.
  case notStored(path: String, ServiceError)
}

extension TarIngestionError: CustomStringConvertible {
  /// One sentence for a person.
  public var description: String {
    switch self {
    case .unreadable(let reason, let path):
      path.map { "the archive cannot be read after '\($0)': \(reason)" }
        ?? "the archive cannot be read: \(reason)"
    case .invalidPath(let path, let error): "the entry '\(path)': \(error)"
    case .tooDeep(let path, let limit):
      "the entry '\(path.prefix(200))' is nested deeper than \(limit) directories"
    case .danglingLink(let path, let original):
      "the entry '\(path)' is a hard link to '\(original)', but no file of that path came before it"
    case .unsupportedEntry(let path, let type):
      "the entry '\(path)' is a \(type), which cannot be stored"
    case .invalidTarget(let path, let error): "the entry '\(path)': \(error)"
    case .notADirectory(let path, let parent):
      "the entry '\(path)' lies below '\(parent)', which is not a directory"
    case .wrongSize(let path, let expected, let got):
      "the file '\(path)' has \(got) bytes, but its header says \(expected)"
    case .unexpectedRoots(0): "the archive holds nothing to make a tree of: top level entries: 0"
    case .unexpectedRoots(let count):
      "unexpected number of top level directory entries: \(count); expected one, or '.'. "
        + "With a name for the tree, all of them become it"
    case .tooManyEntries(let limit): "the archive has more than \(limit) entries"
    case .invalidDirectory(let error): "a directory: \(error)"
    case .notStored(let path, let error): "cannot store '\(path)': \(error)"
    }
  }
}
