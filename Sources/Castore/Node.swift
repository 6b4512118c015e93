/// What a name in a directory, or the root of a tree, stands for.
///
/// A node carries no name of its own: the directory or root list that holds it does.
public enum Node: Hashable, Sendable {
  /// A directory: the digest of its canonical encoding, and its size (see `DirectorySizeRule`).
  case directory(digest: B3Digest, size: UInt64)
  /// A regular file: the digest of its contents, its length in bytes, its owner's executable bit.
  case file(digest: B3Digest, size: UInt64, isExecutable: Bool)
  /// A symbolic link.
  case symlink(target: SymlinkTarget)

  /// Which of the three it is.
  public var kind: NodeKind {
    switch self {
    case .directory: .directory
    case .file: .file
    case .symlink: .symlink
    }
  }
}
