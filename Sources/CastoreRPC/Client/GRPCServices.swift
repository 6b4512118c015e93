package import Castore
package import CastoreComposition
import Platform

/// Opens the stores of gRPC servers by their URLs; one connection for all services of one address.
package final class GRPCServices: Sendable {
  /// The schemes.
  package static let schemes = ["grpc+http", "grpc+https", "grpc+unix"]

  private let options: PeerOptions
  private let peers = Guarded<[PeerAddress: GRPCPeer]>([:])

  /// Opens with these options.
  package init(options: PeerOptions = PeerOptions()) {
    self.options = options
  }

  /// Makes gRPC known to a registry: the schemes, and the type `grpc` with its field `url`.
  package func register(in registry: inout ServiceRegistry) {
    for scheme in Self.schemes {
      registry.addScheme(scheme) { [self] url async throws(ServiceError) in try await open(url) }
    }
    registry.addStore(type: "grpc") { [self] fields async throws(ServiceError) in
      try await open(ServiceURL(fields.requiredString("url")))
    }
  }

  /// Opens the services of a URL.
  package func open(_ url: ServiceURL) async throws(ServiceError) -> OpenedServices {
    let peer = try await peer(for: url)
    return OpenedServices(
      blobs: GRPCBlobService(peer),
      directories: GRPCDirectoryService(peer),
      roots: GRPCRootNodes(peer),
      pathInfos: GRPCPathInfoService(peer)
    )
  }

  /// The connection to a URL's server. With `wait-connect=1` only once it answers.
  package func peer(for url: ServiceURL) async throws(ServiceError) -> GRPCPeer {
    let address = try PeerAddress(url)
    let parameters = try url.parameters(["wait-connect"])
    let peer = try shared(address)
    switch parameters["wait-connect"] {
    case nil, "0": break
    case "1": try await peer.waitUntilReachable()
    case let value?:
      throw url.refusal("wait-connect=\(value)", expected: "wait-connect=0 or wait-connect=1")
    }
    return peer
  }

  private func shared(_ address: PeerAddress) throws(ServiceError) -> GRPCPeer {
    if let peer = peers.withLock({ $0[address] }) { return peer }
    let made = try GRPCPeer(address, options: options)
    return peers.withLock { peers in
      if let peer = peers[address] { return peer }
      peers[address] = made
      return made
    }
  }
}

extension PeerAddress {
  /// Reads `grpc+http://HOST[:PORT]`, `grpc+https://HOST[:PORT]` or `grpc+unix:///PATH`.
  package init(_ url: ServiceURL) throws(ServiceError) {
    switch url.scheme {
    case "grpc+unix":
      let expected = "grpc+unix:///PATH/TO/SOCKET"
      guard url.hasAuthority, url.host.isEmpty, url.port == nil else {
        throw url.refusal("a Unix socket has no host", expected: expected)
      }
      guard url.path.utf8.count > 1 else { throw url.refusal("no path", expected: expected) }
      self = .unix(path: url.path)
    case "grpc+http", "grpc+https":
      let expected = "\(url.scheme)://HOST or \(url.scheme)://HOST:PORT"
      guard url.hasAuthority, !url.host.isEmpty else {
        throw url.refusal("no host", expected: expected)
      }
      guard url.path.isEmpty || url.path == "/" else {
        throw url.refusal("a stray path \"\(url.path)\"", expected: expected)
      }
      let isEncrypted = url.scheme == "grpc+https"
      let port = url.port ?? (isEncrypted ? 443 : 80)
      self = .tcp(host: url.host, port: port, isEncrypted: isEncrypted)
    default:
      throw url.refusal(
        "unknown scheme \"\(url.scheme)\"",
        expected: GRPCServices.schemes.joined(separator: ", ")
      )
    }
  }
}
