import Castore

/// A small blob that was fetched whole, and verified.
struct MemoryBlobReader: BlobReader {
  private let bytes: [UInt8]

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  var size: UInt64 { UInt64(bytes.count) }

  var memoryBound: Int { bytes.count }

  func read(at offset: UInt64, count: Int) async throws(ServiceError) -> [UInt8] {
    let range = byteRange(at: offset, count: count, of: size)
    return [UInt8](bytes[Int(range.lowerBound)..<Int(range.upperBound)])
  }
}

/// The bytes that a read of a blob gets: none past its end.
func byteRange(at offset: UInt64, count: Int, of size: UInt64) -> Range<UInt64> {
  let start = min(offset, size)
  return start..<(start + min(UInt64(max(count, 0)), size - start))
}
