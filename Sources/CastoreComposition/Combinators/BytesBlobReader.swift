import Castore

/// A blob in memory.
struct BytesBlobReader: BlobReader {
  private let bytes: [UInt8]

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  var size: UInt64 { UInt64(bytes.count) }

  var memoryBound: Int { bytes.count }

  func read(at offset: UInt64, count: Int) async throws(ServiceError) -> [UInt8] {
    guard offset < size, count > 0 else { return [] }
    return [UInt8](bytes[Int(offset)...].prefix(count))
  }
}
