/// A step through the tree that a NAR holds, depth first, entries in the order of their bytes.
///
/// A tree is one node: `file`, `symlink`, or `directoryStart` followed by any number of pairs of
/// `entry` and node, then `directoryEnd`. The contents of a file come beside the events.
public enum NAREvent: Hashable, Sendable {
  /// A directory begins.
  case directoryStart
  /// The name of the node that comes next.
  case entry(name: [UInt8])
  /// A regular file, whose contents follow.
  case file(size: UInt64, isExecutable: Bool)
  /// A symbolic link.
  case symlink(target: [UInt8])
  /// The innermost directory ends.
  case directoryEnd
}

/// The limits that hold for every NAR, read or written.
public enum NARLimits {
  /// The longest name in bytes: what Linux allows.
  public static let maximumNameLength = 255
  /// The longest symlink target in bytes: what Linux allows.
  public static let maximumTargetLength = 4095
  /// How deep directories nest unless a reader is told otherwise. A reader keeps one name for each
  /// open directory: some 17 MiB at worst, whatever it is fed.
  public static let defaultMaximumDepth = 65_536
}
