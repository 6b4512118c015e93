/// What went wrong in a blob, directory, root or path info service.
public struct ServiceError: Error, Sendable {
  /// What callers branch on; mapped once each to errno, gRPC status and exit code.
  public enum Code: Hashable, Sendable {
    /// The caller asked for something that is never valid.
    case invalidArgument
    /// Something that must be there by now is missing: the child of a known directory, a blob of a known file.
    case notFound
    /// Bytes are not what their digest or format says.
    case corrupt
    /// The medium failed: disk, socket.
    case io
    /// No room: disk full, quota, map size.
    case outOfSpace
    /// The system refuses.
    case permissionDenied
    /// The other side cannot be reached now; trying again later may work.
    case unavailable
    /// The caller gave up, or a deadline passed.
    case cancelled
    /// The service does not offer this.
    case unsupported
  }

  /// The kind of failure.
  public var code: Code
  /// One sentence for a person: what went wrong, where (path, digest, peer), expected and got.
  public var message: String
  /// The error beneath, where there is one.
  public var cause: (any Error)?

  /// Describes a failure.
  public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
    self.code = code
    self.message = message
    self.cause = cause
  }
}

extension ServiceError: CustomStringConvertible {
  /// The message, followed by its cause.
  public var description: String {
    guard let cause else { return message }
    return "\(message): \(cause)"
  }
}
