import Glibc
import Platform

/// Standard output, written whole: a full disk is an error, not silence. A reader who goes away ends the
/// command quietly, see `ReaderGone`.
enum Output {
  /// Writes bytes.
  static func write(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = Glibc.write(1, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
      if count < 0 {
        let error = Errno.current
        if error.code == EINTR { continue }
        if error.code == EPIPE { throw ReaderGone() }
        throw CommandError("writing to standard output: \(error)")
      }
      rest = rest.dropFirst(count)
    }
  }

  /// Writes bytes.
  static func write(_ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { try write($0) }
  }

  /// Writes text and ends the line.
  static func line(_ text: String) throws {
    try write([UInt8](text.utf8) + [0x0A])
  }
}

/// Whoever read standard output reads no more. The command ends as SIGPIPE ends one, without a word.
struct ReaderGone: Error {}

/// Standard error, best effort.
func note(_ text: String) {
  let bytes = [UInt8](text.utf8) + [0x0A]
  if LogWriter.shared.isStarted {
    LogWriter.shared.write(bytes)
  } else {
    writeStandardError(bytes)
  }
}

/// A failure whose message says it all.
struct CommandError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}

/// Bytes as a person reads them, in powers of 1000.
func humanBytes(_ count: UInt64) -> String {
  let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
  var value = Double(count)
  var unit = 0
  while value >= 999.95 && unit < units.count - 1 {
    value /= 1000
    unit += 1
  }
  if unit == 0 { return "\(count) B" }
  let tenths = Int((value * 10).rounded())
  return "\(tenths / 10).\(tenths % 10) \(units[unit])"
}
