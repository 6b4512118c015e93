/// Where a gRPC server is found.
package enum PeerAddress: Hashable, Sendable {
  /// A host by name or number.
  case tcp(host: String, port: UInt16, isEncrypted: Bool)
  /// A Unix socket.
  case unix(path: String)
}

extension PeerAddress: CustomStringConvertible {
  /// The address as a service URL.
  package var description: String {
    switch self {
    case .tcp(let host, let port, let isEncrypted):
      let shown = host.contains(":") ? "[\(host)]" : host
      return "grpc+\(isEncrypted ? "https" : "http")://\(shown):\(port)"
    case .unix(let path):
      return "grpc+unix://\(path)"
    }
  }
}
