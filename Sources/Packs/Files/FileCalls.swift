internal import Glibc
internal import SystemPackage

/// Runs a call that reports failure as -1, again for as long as a signal interrupts it.
///
/// - Parameter what: For the message, made only when the call fails.
@inline(__always)
func systemCall<Value: FixedWidthInteger>(
  _ what: @autoclosure () -> String,
  _ call: () -> Value
) throws(PackError) -> Value {
  while true {
    let result = call()
    if result != -1 { return result }
    let code = errno
    if code != EINTR { throw PackError.system(Errno(rawValue: code), what()) }
  }
}

/// Whole reads and writes at offsets.
enum FileCalls {
  /// Reads until the buffer is full or the file ends. Corresponds to `pread(2)`.
  static func read(
    _ file: CInt,
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer,
    name: @autoclosure () -> String
  ) throws(PackError) -> Int {
    guard let base = buffer.baseAddress, let start = off_t(exactly: offset),
      !start.addingReportingOverflow(off_t(buffer.count)).overflow
    else { return 0 }
    var filled = 0
    while filled < buffer.count {
      let count = try systemCall("read \(name()) at \(offset)") {
        pread(file, base + filled, buffer.count - filled, start + off_t(filled))
      }
      if count == 0 { break }
      filled += count
    }
    return filled
  }

  /// Writes all bytes. Corresponds to `pwrite(2)`.
  static func write(
    _ bytes: UnsafeRawBufferPointer,
    to file: CInt,
    at offset: UInt64,
    name: @autoclosure () -> String
  ) throws(PackError) {
    guard let base = bytes.baseAddress else { return }
    guard let start = off_t(exactly: offset),
      !start.addingReportingOverflow(off_t(bytes.count)).overflow
    else { throw PackError.system(.fileTooLarge, "write \(name())") }
    var written = 0
    while written < bytes.count {
      written += try systemCall("write \(name()) at \(offset)") {
        pwrite(file, base + written, bytes.count - written, start + off_t(written))
      }
    }
  }

  /// Corresponds to `fsync(2)`.
  static func sync(_ file: CInt, name: @autoclosure () -> String) throws(PackError) {
    _ = try systemCall("sync \(name())") { fsync(file) }
  }

  /// Makes names in a folder durable. Some file systems have nothing to sync for a folder.
  static func syncFolder(_ folder: CInt, name: @autoclosure () -> String) throws(PackError) {
    do throws(PackError) {
      try sync(folder, name: name())
    } catch .system(.invalidArgument, _) {
      return
    }
  }
}
