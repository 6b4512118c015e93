import Glibc

/// A path, name or argument: bytes, written as text where it is text.
protocol Word {
  var bytes: [UInt8] { get }
}

extension String: Word {
  var bytes: [UInt8] { [UInt8](utf8) }
}

extension [UInt8]: Word {
  var bytes: [UInt8] { self }

  /// Lends the bytes as a C string.
  @discardableResult
  func withCPath<Result>(_ body: (UnsafePointer<CChar>) throws -> Result) rethrows -> Result {
    let string = map { CChar(bitPattern: $0) } + [0]
    // An array that is passed as a pointer is lent for the call.
    return try body(string)
  }
}

/// A path below another.
func / (left: any Word, right: any Word) -> [UInt8] {
  left.bytes + [UInt8(ascii: "/")] + right.bytes
}

/// A system call that failed.
struct CallError: Error, Equatable, CustomStringConvertible {
  let call: String
  let code: CInt

  init(_ call: String, _ code: CInt = errno) {
    self.call = call
    self.code = code
  }

  var description: String { "\(call): \(String(cString: strerror(code)))" }
}

/// Checks what a system call returned.
@discardableResult
func check<Value: FixedWidthInteger>(_ value: Value, _ call: String) throws -> Value {
  if value == -1 { throw CallError(call) }
  return value
}
