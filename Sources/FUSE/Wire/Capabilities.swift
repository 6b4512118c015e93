/// What kernel and file system agree on when a session begins: the flags of INIT, all 64.
public struct Capabilities: OptionSet, Hashable, Sendable, BitwiseCopyable {
  /// The flags; the upper half travels as `flags2`.
  public let rawValue: UInt64

  /// Wraps flags.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  private init(bit: UInt64) {
    self.rawValue = 1 << bit
  }

  /// Reads ahead with several requests at once.
  public static let asyncRead = Capabilities(bit: 0)
  /// File handles that outlive caches (`open_by_handle_at`, NFS): needs a `lookup` of `.` that finds every
  /// node again, also those which were forgotten.
  public static let exportSupport = Capabilities(bit: 4)
  /// Checks attributes before cached reads. Never for content that does not change.
  public static let autoInvalidateData = Capabilities(bit: 12)
  /// Listings carry attributes.
  public static let readdirplus = Capabilities(bit: 13)
  /// Listings carry attributes only when the kernel guesses that they are of use.
  public static let readdirplusAuto = Capabilities(bit: 14)
  /// O_DIRECT reads are split and sent at once.
  public static let asyncDirectIO = Capabilities(bit: 15)
  /// Lookups and listings of one directory run at once.
  public static let parallelDirectoryOperations = Capabilities(bit: 18)
  /// Tells an aborted connection from an unmounted one.
  public static let abortError = Capabilities(bit: 21)
  /// Requests larger than 128 KiB.
  public static let maxPages = Capabilities(bit: 22)
  /// Targets of symbolic links are cached.
  public static let cacheSymlinks = Capabilities(bit: 23)
  /// Cached content is dropped only on a notification.
  public static let explicitInvalidateData = Capabilities(bit: 25)
  /// There is an upper half of flags.
  public static let initExtension = Capabilities(bit: 30)
  /// Files that the kernel reads itself.
  public static let passthrough = Capabilities(bit: 37)
  /// Idmapped mounts. Needs `default_permissions`, which mounts of this library and of virtual machines
  /// have. Callers' user and group are not told any more.
  public static let allowIDMap = Capabilities(bit: 40)

  /// What suits content that never changes.
  public static let core: Capabilities = [
    .asyncRead, .exportSupport, .readdirplus, .parallelDirectoryOperations, .abortError,
    .maxPages, .cacheSymlinks, .explicitInvalidateData, .initExtension,
  ]

  /// The lower half, as in `flags`.
  var lower: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
  /// The upper half, as in `flags2`.
  var upper: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }
}
