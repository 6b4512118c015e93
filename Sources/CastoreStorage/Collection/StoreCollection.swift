/// What a collection has removed, or would.
public struct StoreCollection: Sendable {
  /// Blobs that stay.
  public internal(set) var keptBlobs: UInt64 = 0
  /// Directories that stay.
  public internal(set) var keptDirectories: UInt64 = 0
  /// Blobs that went, or would.
  public internal(set) var blobs: UInt64 = 0
  /// Directories that went, or would.
  public internal(set) var directories: UInt64 = 0
  /// Packs that went, or would: their space is free, and what stays of them is in new ones.
  public internal(set) var packs: UInt64 = 0
  /// Files of large blobs that went, or would.
  public internal(set) var files: UInt64 = 0
  /// What these packs and files took on the disk, in bytes.
  public internal(set) var freedBytes: UInt64 = 0
  /// What new packs take on the disk, in bytes.
  public internal(set) var rewrittenBytes: UInt64 = 0
  /// What is referred to and not there; at most some hundreds.
  public internal(set) var missing: [String] = []
}
