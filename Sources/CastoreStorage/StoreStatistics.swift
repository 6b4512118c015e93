/// What a store holds.
public struct StoreStatistics: Hashable, Sendable {
  /// All blobs.
  public var blobs: UInt64 = 0
  /// The bytes of all blobs.
  public var blobBytes: UInt64 = 0
  /// The blobs that are files of their own.
  public var fileBlobs: UInt64 = 0
  /// The bytes of these.
  public var fileBlobBytes: UInt64 = 0
  /// Different directories.
  public var directories: UInt64 = 0
  /// The bytes of their encodings.
  public var directoryBytes: UInt64 = 0
  /// Named roots.
  public var roots: UInt64 = 0
  /// The pages of the index in use, in bytes.
  public var indexBytes: UInt64 = 0
}
