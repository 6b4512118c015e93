public import Glibc

/// An error number of the system, with the call and the object that it is about.
public struct Errno: Error, Hashable, Sendable {
  /// The number, for example `ENOENT`.
  public let code: CInt

  /// Wraps an error number.
  public init(_ code: CInt) {
    self.code = code
  }

  /// The error number that the last failed call of this thread left.
  public static var current: Errno { Errno(errno) }
}

extension Errno: CustomStringConvertible {
  /// The system's sentence for the number, for example "No such file or directory".
  public var description: String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
      guard let base = buffer.baseAddress, strerror_r(code, base, buffer.count) == 0 else {
        return "error \(code)"
      }
      return String(cString: base)
    }
  }
}

/// Runs a call that reports failure as -1, again for as long as a signal interrupts it.
///
/// - Returns: What the call returned, never -1.
/// - Throws: The error number.
@inlinable
public func retryingOnInterrupt<Value: FixedWidthInteger>(
  _ call: () -> Value
) throws(Errno) -> Value {
  while true {
    let result = call()
    if result != -1 { return result }
    let code = errno
    if code != EINTR { throw Errno(code) }
  }
}
