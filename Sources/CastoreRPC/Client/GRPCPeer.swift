package import Castore
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Platform

/// A connection to a gRPC server: made when it is first needed, and made again when it broke.
///
/// Shared by the clients of all services of that server. Ends when it is let go of.
package final class GRPCPeer: Sendable {
  /// The server's address, for messages.
  package let name: String
  let client: GRPCClient<HTTP2ClientTransport.Posix>
  let options: PeerOptions
  private let slots = CallSlots(WireLimits.callsPerConnection)

  /// Prepares a connection; does not wait for it.
  package init(_ address: PeerAddress, options: PeerOptions = PeerOptions()) throws(ServiceError) {
    name = address.description
    self.options = options
    do {
      let transport = try HTTP2ClientTransport.Posix(address, options: options)
      client = GRPCClient(transport: transport)
    } catch {
      throw ServiceError(.invalidArgument, "\(address): cannot be used", cause: error)
    }
    // Not a child of any task: lives as long as the peer, which ends it.
    Task.detached { [client] in
      try? await client.runConnections()
    }
  }

  deinit {
    // Not cancelled: what is being given up must still be told to the server.
    client.beginGracefulShutdown()
  }

  /// Waits until the server answers anything at all.
  package func waitUntilReachable() async throws(ServiceError) {
    try await perform("connecting") { try await self.ping() }
  }

  // Any answer will do, also that the method is not there.
  private func ping() async throws {
    do {
      let method = WireService.blobs.method("Stat", in: .tvix)
      let nothing = DirectoryCodec()
      _ = try await unary(method, [], writing: nothing, reading: nothing)
    } catch let error as RPCError {
      switch error.code {
      case .unavailable, .deadlineExceeded, .cancelled: throw error
      default: break
      }
    }
  }

  /// Options of a call that may take a time, or any.
  func callOptions(timeout: Duration? = nil) -> CallOptions {
    var call = CallOptions.defaults
    call.timeout = timeout
    // The transport takes its limit for answers from the one for requests (2.9.2), so set both.
    call.maxRequestMessageBytes = options.messageLimit
    call.maxResponseMessageBytes = options.messageLimit
    call.waitForReady = false
    return call
  }

  /// Makes a call with one request and one answer, once.
  ///
  /// - Parameter timeout: How long it may take; by default what the options say about answers.
  func unary<Request: Sendable, Response: Sendable>(
    _ method: MethodDescriptor,
    _ request: Request,
    writing serializer: some MessageSerializer<Request>,
    reading deserializer: some MessageDeserializer<Response>,
    timeout: Duration? = nil
  ) async throws -> Response {
    try await client.unary(
      request: ClientRequest(message: request),
      descriptor: method,
      serializer: serializer,
      deserializer: deserializer,
      options: callOptions(timeout: timeout ?? options.answerTimeout)
    ) { response in
      try response.message
    }
  }

  /// Runs what may be repeated, and repeats it while the server cannot be reached.
  ///
  /// Not to be called from within itself: calls wait for each other when there are many.
  ///
  /// - Parameter action: What is attempted, for the message of the error.
  func perform<Value>(
    _ action: @autoclosure () -> String,
    _ body: () async throws -> Value
  ) async throws(ServiceError) -> Value {
    var attempt = 0
    while true {
      do {
        return try await slots.withSlot(body)
      } catch {
        attempt += 1
        guard attempt < options.attempts, Self.isWorthRepeating(error) else {
          throw ServiceError(error, action: action(), peer: name)
        }
      }
      do {
        // Some of the wait is random, so that clients of one server do not come back all at once.
        let delay = options.delay(before: attempt)
        try await Task.sleep(for: delay * Double.random(in: 0.75...1.25))
      } catch {
        throw ServiceError(error, action: action(), peer: name)
      }
    }
  }

  /// Whether a failed call may succeed soon: nobody was there, or the connection broke.
  static func isWorthRepeating(_ error: any Error) -> Bool {
    (error as? RPCError)?.code == .unavailable
  }
}

extension HTTP2ClientTransport.Posix {
  fileprivate init(_ address: PeerAddress, options: PeerOptions) throws {
    let config = Config.defaults { config in
      config.http2.targetWindowSize = WireLimits.window
      config.http2.maxFrameSize = WireLimits.frame
      config.connection.flushCoalescing = nil
      // Finds out about a server that is gone without a word.
      config.connection.keepalive = HTTP2ClientTransport.Config.Keepalive(
        time: .seconds(30),
        timeout: .seconds(10),
        allowWithoutCalls: false
      )
      config.backoff = HTTP2ClientTransport.Config.Backoff(
        initial: options.firstDelay,
        max: options.longestDelay,
        multiplier: 1.6,
        jitter: 0.2
      )
    }
    switch address {
    case .unix(let path):
      try self.init(
        target: .unixDomainSocket(path: path, authority: "localhost"),
        transportSecurity: .plaintext,
        config: config
      )
    case .tcp(let host, let port, let isEncrypted):
      let security: TransportSecurity =
        isEncrypted
        ? .tls { tls in
          if let file = options.trustedCertificates {
            tls.trustRoots = .certificates([.file(path: file, format: .pem)])
          }
        } : .plaintext
      if host.contains(":") {
        try self.init(
          target: .ipv6(address: host, port: Int(port)),
          transportSecurity: security,
          config: config
        )
      } else if host.utf8.allSatisfy({ $0 == UInt8(ascii: ".") || (48...57).contains($0) }) {
        try self.init(
          target: .ipv4(address: host, port: Int(port)),
          transportSecurity: security,
          config: config
        )
      } else {
        try self.init(
          target: .dns(host: host, port: Int(port)),
          transportSecurity: security,
          config: config
        )
      }
    }
  }
}
