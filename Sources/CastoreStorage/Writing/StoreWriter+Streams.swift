public import Castore

extension StoreWriter: StreamingTreeSink {
  /// See `StreamingTreeSink`.
  public func putBlob(
    reading source: (UnsafeMutableRawBufferPointer) throws(ServiceError) -> Int
  ) throws(ServiceError) -> (digest: B3Digest, size: UInt64) {
    try throwFailure()
    // What fits into a record never becomes a file.
    let start = HeapBytes(count: Self.largestRecord + 1)
    let count = try fill(start.bytes, source)
    let first = UnsafeRawBufferPointer(rebasing: start.bytes[..<count])
    if count <= Self.largestRecord { return (try putBlob(first), UInt64(count)) }
    let new = try failing { () throws(ServiceError) in
      try NewBlobFile(in: session, access: core.options.access)
    }
    return try stream(into: new) { (buffer, offset) throws(ServiceError) in
      // The start was read already.
      let begun = offset < UInt64(count) ? Int(offset) : count
      let known = min(buffer.count, count - begun)
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: first[begun..<(begun + known)]))
      return known
        + (try fill(UnsafeMutableRawBufferPointer(rebasing: buffer[known...]), source))
    }
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
