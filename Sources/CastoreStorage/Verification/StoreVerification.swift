/// What looking through a store has found.
public struct StoreVerification: Sendable {
  /// Blobs in packs, large ones among them.
  public internal(set) var blobs: UInt64 = 0
  /// Bytes of all blobs.
  public internal(set) var blobBytes: UInt64 = 0
  /// Directories in packs.
  public internal(set) var directories: UInt64 = 0
  /// Packs.
  public internal(set) var packs: UInt64 = 0
  /// Named roots, store paths and pins.
  public internal(set) var names: UInt64 = 0
  /// Everything that is wrong.
  public internal(set) var problems: UInt64 = 0
}
