internal import Glibc

/// Whole reads and writes at offsets.
package enum FileIO {
  /// Reads until the buffer is full or the file ends. Corresponds to `pread(2)`.
  package static func read(
    _ file: CInt,
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    guard let base = buffer.baseAddress, let start = off_t(exactly: offset),
      !start.addingReportingOverflow(off_t(buffer.count)).overflow
    else { return 0 }
    var filled = 0
    while filled < buffer.count {
      let count = try retryingOnInterrupt {
        pread(file, base + filled, buffer.count - filled, start + off_t(filled))
      }
      if count == 0 { break }
      filled += count
    }
    return filled
  }

  /// The blocks that are not written when they hold nothing but zeros: large, so that a file does not
  /// end up in many small pieces.
  private static let sparseBlock = 64 << 10

  /// Writes all bytes at the end of a file, but leaves holes for whole blocks of zeros.
  ///
  /// - Parameter offset: The end of the file.
  package static func writeSparsely(
    _ bytes: UnsafeRawBufferPointer,
    to file: CInt,
    at offset: UInt64
  ) throws(Errno) {
    // What waits to be written, and the place where the next block begins.
    var start = 0
    var place = 0
    while place < bytes.count {
      // Blocks begin at multiples of their length in the file; the first here may be short.
      let intoBlock = Int((offset &+ UInt64(place)) % UInt64(sparseBlock))
      let end = min(place + sparseBlock - intoBlock, bytes.count)
      let block = UnsafeRawBufferPointer(rebasing: bytes[place..<end])
      if block.count == sparseBlock && isZero(block) {
        let piece = UnsafeRawBufferPointer(rebasing: bytes[start..<place])
        try writeAll(piece, to: file, at: offset + UInt64(start))
        start = end
      }
      place = end
    }
    let piece = UnsafeRawBufferPointer(rebasing: bytes[start...])
    try writeAll(piece, to: file, at: offset + UInt64(start))
    if start == bytes.count && start > 0 {
      // A hole at the end shows only in the length.
      guard let length = off_t(exactly: offset + UInt64(start)) else { throw Errno(EFBIG) }
      _ = try retryingOnInterrupt { Int(ftruncate(file, length)) }
    }
  }

  private static func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let base = bytes.baseAddress, bytes[0] == 0 else { return bytes.isEmpty }
    // The first byte is zero, and every other one is what stands before it.
    return memcmp(base, base + 1, bytes.count - 1) == 0
  }

  /// Writes all bytes. Corresponds to `pwrite(2)`.
  package static func writeAll(
    _ bytes: UnsafeRawBufferPointer,
    to file: CInt,
    at offset: UInt64
  ) throws(Errno) {
    guard let base = bytes.baseAddress else { return }
    guard let start = off_t(exactly: offset),
      !start.addingReportingOverflow(off_t(bytes.count)).overflow
    else { throw Errno(EFBIG) }
    var written = 0
    while written < bytes.count {
      let count = try retryingOnInterrupt {
        pwrite(file, base + written, bytes.count - written, start + off_t(written))
      }
      written += count
    }
  }
}
