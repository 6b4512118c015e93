public import Platform

/// Why a device cannot be served.
public struct VirtioFSError: Error, CustomStringConvertible {
  /// What sort of failure it is.
  public enum Code: Sendable {
    /// The configuration makes no sense.
    case configuration
    /// The socket cannot be made.
    case socket
    /// Somebody else listens there.
    case inUse
    /// The system has no more descriptors, memory or threads.
    case resources
  }

  /// What sort of failure it is.
  public let code: Code
  /// What went wrong, and where.
  public let message: String
  /// What the system said.
  public let cause: Errno?

  init(_ code: Code, _ message: String, cause: Errno? = nil) {
    self.code = code
    self.message = message
    self.cause = cause
  }

  init(_ error: UnixListenerError) {
    let code: Code =
      switch error.code {
      case .badPath, .system: .socket
      case .notASocket, .inUse: .inUse
      }
    self.init(code, error.message, cause: error.cause)
  }

  /// One sentence.
  public var description: String {
    cause.map { "\(message): \($0)" } ?? message
  }
}
