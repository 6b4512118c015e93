internal import BLAKE3
public import Castore

extension StoreWriter: StreamingTreeSink {
  /// See `StreamingTreeSink`.
  public func putBlob(
    reading source: (UnsafeMutableRawBufferPointer) throws(ServiceError) -> Int
  ) throws(ServiceError) -> (digest: B3Digest, size: UInt64) {
    try throwFailure()
    let new = try failing { () throws(ServiceError) in try NewBlobFile(in: folder) }
    let buffer = HeapBytes(count: 1 << 20)
    var hasher = BLAKE3.Hasher()
    while true {
      try throwFailure()
      let count = try fill(buffer.bytes, source)
      let bytes = UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count])
      hasher.update(bytes)
      try failing { () throws(ServiceError) in try new.append(bytes) }
      if count < buffer.bytes.count { break }
    }
    let size = new.size
    if size <= UInt64(BlobRecord.inlineLimit) { return (try putBlob(contentsOf: new), size) }
    let digest = B3Digest(hasher.finalize())
    if try !isKnownBlob(digest, size: size) { try add(new, digest) }
    return (digest, size)
  }

  /// Fills the buffer; short only at the end.
  private func fill(
    _ buffer: UnsafeMutableRawBufferPointer,
    _ source: (UnsafeMutableRawBufferPointer) throws(ServiceError) -> Int
  ) throws(ServiceError) -> Int {
    var filled = 0
    while filled < buffer.count {
      let count = try source(UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
      precondition(0...(buffer.count - filled) ~= count, "a source fills no more than the buffer")
      if count == 0 { break }
      filled += count
    }
    return filled
  }
}
