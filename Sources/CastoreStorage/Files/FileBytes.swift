internal import Glibc
internal import Platform

/// Whole reads and writes at offsets.
enum FileBytes {
  /// Reads until the buffer is full or the file ends. Corresponds to `pread(2)`.
  static func read(
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

  /// Writes all bytes. Corresponds to `pwrite(2)`.
  static func writeAll(
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
