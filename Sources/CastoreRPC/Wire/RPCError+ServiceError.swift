package import Castore
package import GRPCCore

extension RPCError {
  /// What a server answers where a service failed.
  package init(_ error: ServiceError) {
    let code: RPCError.Code =
      switch error.code {
      case .invalidArgument: .invalidArgument
      case .notFound: .notFound
      case .corrupt: .dataLoss
      case .io: .internalError
      case .outOfSpace: .resourceExhausted
      case .permissionDenied: .permissionDenied
      case .unavailable: .unavailable
      case .cancelled: .cancelled
      case .unsupported: .unimplemented
      }
    // The cause may tell of files and peers that are no business of the client's.
    self.init(code: code, message: error.message)
  }
}

extension ServiceError {
  /// What a client reports where a call failed.
  ///
  /// - Parameters:
  ///   - failure: What the transport or the server said.
  ///   - action: What was attempted, as in "cannot read blob b3:...".
  ///   - peer: The server's address.
  package init(_ failure: any Error, action: String, peer: String) {
    if let failure = failure as? ServiceError {
      self = failure
      return
    }
    guard let failure = failure as? RPCError else {
      let code: Code = failure is CancellationError ? .cancelled : .unavailable
      self.init(code, "\(peer): \(action)", cause: failure)
      return
    }
    let code: Code =
      switch failure.code {
      case .invalidArgument, .outOfRange, .failedPrecondition: .invalidArgument
      case .notFound: .notFound
      case .dataLoss: .corrupt
      case .resourceExhausted: .outOfSpace
      case .permissionDenied, .unauthenticated: .permissionDenied
      case .unavailable, .deadlineExceeded, .aborted: .unavailable
      case .cancelled: .cancelled
      case .unimplemented: .unsupported
      default: .io
      }
    var message = "\(peer): \(action): \(failure.message)"
    if code == .unavailable, let reason = failure.cause { message += " (\(reason))" }
    self.init(code, message, cause: failure)
  }
}
