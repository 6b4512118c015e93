/// What a store holds.
public struct StoreStatistics: Hashable, Sendable {
  /// Blobs, each counted once.
  public var blobs: UInt64 = 0
  /// The bytes of these.
  public var blobBytes: UInt64 = 0
  /// The blobs that are files of their own.
  public var fileBlobs: UInt64 = 0
  /// The bytes of these.
  public var fileBlobBytes: UInt64 = 0
  /// Different directories.
  public var directories: UInt64 = 0
  /// The bytes of their encodings.
  public var directoryBytes: UInt64 = 0
  /// What some name, pin or session refers to: bytes of blobs and directories.
  /// Unknown for a store that is open for reading only.
  public var liveBytes: UInt64?
  /// What nothing refers to: a collection frees it.
  public var deadBytes: UInt64?
  /// What lies in a pack and in another one, too.
  public var duplicateBytes: UInt64 = 0
  /// Packs.
  public var packs: UInt64 = 0
  /// Their length on the disk.
  public var packBytes: UInt64 = 0
  /// Named roots.
  public var roots: UInt64 = 0
  /// Store paths.
  public var pathInfos: UInt64 = 0
  /// Pins.
  public var pins: UInt64 = 0
  /// The tables that find objects, in bytes.
  public var indexBytes: UInt64 = 0
}
