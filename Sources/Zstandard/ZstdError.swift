internal import CZstd

/// Why bytes cannot be decompressed, or compressed.
package enum ZstdError: Error, Hashable, Sendable {
  /// The bytes are no zstd frame, or a damaged one.
  case corrupt(String)
  /// The bytes end within a frame.
  case truncated
  /// What is in the frame is longer than it may be.
  case tooLong(limit: Int)
  /// What is in the frame is shorter than it was said to be.
  case tooShort(expected: Int, got: Int)
  /// Decompressing would take more memory than is allowed.
  case windowTooLarge
  /// There is no memory.
  case outOfMemory

  init(_ code: Int) {
    switch ZSTD_getErrorCode(code) {
    case ZSTD_error_srcSize_wrong: self = .truncated
    case ZSTD_error_memory_allocation: self = .outOfMemory
    case ZSTD_error_frameParameter_windowTooLarge: self = .windowTooLarge
    default: self = .corrupt(String(cString: ZSTD_getErrorName(code)))
    }
  }
}

extension ZstdError: CustomStringConvertible {
  /// One sentence for a person.
  package var description: String {
    switch self {
    case .corrupt(let what): "no zstd frame, or a damaged one: \(what)"
    case .truncated: "a zstd frame ends too early"
    case .tooLong(let limit): "a zstd frame holds more than \(limit) bytes"
    case .tooShort(let expected, let got): "a zstd frame holds \(got) bytes instead of \(expected)"
    case .windowTooLarge: "a zstd frame needs more memory than is allowed"
    case .outOfMemory: "there is no memory for zstd"
    }
  }
}
