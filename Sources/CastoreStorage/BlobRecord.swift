internal import Castore

/// What the index says about a blob.
///
/// On disk: a byte 0 and the blob itself, or a byte 1 and the length of the blob's file, 8 bytes,
/// little-endian.
enum BlobRecord {
  /// The blob, in place.
  case inline(UnsafeRawBufferPointer)
  /// The blob is a file of that length.
  case file(size: UInt64)

  /// Blobs up to this length lie in the index, longer ones are files.
  ///
  /// Below, a file of its own costs more (inode, folder entry, a sync in the journal) than the copy;
  /// above, the kernel should be able to serve it directly, and the index stays small enough to be
  /// looked at in memory. Readers take records of any length.
  static let inlineLimit = 64 << 10

  static let inlineTag: UInt8 = 0
  static let fileTag: UInt8 = 1
  static let fileRecordCount = 9

  /// Reads a record from the disk; `nil` where the bytes are none.
  init?(_ bytes: UnsafeRawBufferPointer) {
    switch bytes.first {
    case Self.inlineTag:
      self = .inline(UnsafeRawBufferPointer(rebasing: bytes[1...]))
    case Self.fileTag where bytes.count == Self.fileRecordCount:
      let size = bytes.loadUnaligned(fromByteOffset: 1, as: UInt64.self)
      self = .file(size: UInt64(littleEndian: size))
    default:
      return nil
    }
  }

  /// The blob's length.
  var size: UInt64 {
    switch self {
    case .inline(let bytes): UInt64(bytes.count)
    case .file(let size): size
    }
  }
}
