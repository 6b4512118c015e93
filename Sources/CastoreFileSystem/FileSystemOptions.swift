public import FUSE

/// How a mounted store looks.
public struct FileSystemOptions: Sendable {
  /// Which family's names and digest text the extended attributes have.
  public enum ExtendedAttributeNamespace: String, Hashable, Sendable, CaseIterable {
    /// `user.tvix.castore.blob.digest`, with `b3:` text.
    case tvix
    /// `user.snix.castore.blob.digest`, with `blake3-` text.
    case snix
  }

  /// Whether the root can be listed. Where not, listing it is `EPERM`; known names work all the same.
  public var listsRoot = true
  /// Whether files and directories show their digest as an extended attribute; `nil`: no. Values are
  /// then asked for only once.
  public var extendedAttributes: ExtendedAttributeNamespace?
  /// What `st_ino` goes by.
  public var inodeNumbers = InodeNumbering.content
  /// What times are.
  public var modificationTime = ModificationTime.seconds(1)
  /// The user and group that everything belongs to.
  public var owner: (user: UInt32, group: UInt32) = (0, 0)
  /// For how long the kernel may rely on a name in the root, since those can be re-pointed.
  public var rootValidity = Validity(seconds: 1)
  /// For how long a store elsewhere is waited for that does not say what a known name in the root stands for,
  /// and for how long it is not asked about known names after that. They stay what they were.
  public var rootPatience = Duration.seconds(5)

  /// How many bytes of memory directories and readers of blobs may take that are kept for later requests;
  /// about a quarter of it where the store is on this machine, and a quarter for listings of the root. What
  /// is not used goes after a minute.
  public var cacheBytes = 64 << 20

  /// How the kernel comes by the bytes of files. Passthrough falls back where the kernel will not have it.
  public var dataPath = DataPath.cached
  /// For passthrough: 1, or 2 where the store itself lies on overlayfs. An overlayfs on top of the mount is
  /// only possible with 1.
  public var maxStackDepth: UInt32 = 1
  /// How many files that nobody has open stay registered for passthrough, for a minute at most. They cost
  /// kernel memory only.
  public var idleBackingLimit = 1024

  /// The defaults.
  public init() {}
}
