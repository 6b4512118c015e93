/// A blob whose bytes are in memory.
package struct BytesBlobReader: BlobReader {
  private let bytes: [UInt8]

  /// Reads bytes.
  package init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  package var size: UInt64 { UInt64(bytes.count) }

  package var memoryBound: Int { bytes.count }

  package func read(at offset: UInt64, count: Int) async throws(ServiceError) -> [UInt8] {
    [UInt8](bytes.part(at: offset, count: count))
  }
}
