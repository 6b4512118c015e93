import Castore
import CastoreRPC
import Foundation
import Testing

/// A server on a free port and a Unix socket of its own, for the time of a test.
struct Loopback: Sendable {
  /// The server.
  let server: CastoreServer
  /// The addresses, as a client takes them: TCP, then Unix.
  let addresses: [PeerAddress]

  /// Runs a body beside a server.
  static func serving<Value: Sendable>(
    _ services: ServedServices,
    options: ServerOptions = ServerOptions(),
    isolation: isolated (any Actor)? = #isolation,
    _ body: (Loopback) async throws -> Value
  ) async throws -> Value {
    let socket = NSTemporaryDirectory() + "castore-\(UUID().uuidString).sock"
    let server = try CastoreServer(
      services,
      on: [.tcp(host: "127.0.0.1", port: 0), .unix(path: socket)],
      options: options
    )
    let running = Task { try await server.run() }
    let result: Result<Value, any Error>
    do {
      result = .success(
        try await body(Loopback(server: server, addresses: peers(of: server, options: options)))
      )
    } catch {
      result = .failure(error)
    }
    running.cancel()
    _ = try? await running.value
    return try result.get()
  }

  private static func peers(of server: CastoreServer, options: ServerOptions) -> [PeerAddress] {
    server.addresses.map { address in
      if address.hasPrefix("unix:") { return .unix(path: String(address.dropFirst(5))) }
      let port = UInt16(address.split(separator: ":").last ?? "") ?? 0
      return .tcp(host: "127.0.0.1", port: port, isEncrypted: options.tls != nil)
    }
  }
}

extension PeerOptions {
  /// Gives up soon.
  static var impatient: PeerOptions {
    var options = PeerOptions()
    options.attempts = 3
    options.firstDelay = .milliseconds(20)
    options.longestDelay = .milliseconds(100)
    // Not too soon: the machine may be busy with other tests.
    options.idleTimeout = .seconds(2)
    options.answerTimeout = .seconds(5)
    options.commitTimeout = .seconds(5)
    return options
  }
}

/// All suites of this target, one test after another: those that wait for a limit must not starve.
@Suite("The network", .serialized)
enum NetworkTests {}
