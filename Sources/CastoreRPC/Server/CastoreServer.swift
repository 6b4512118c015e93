package import Castore
package import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Glibc
import Platform

/// A gRPC server for any services, on any number of addresses.
///
/// Listens once it is made: connections wait until `run`.
package final class CastoreServer: Sendable {
  private let listeners: [Listener]
  private let health: HealthState
  private let counter = CallCounter()
  private let shutdown = AsyncStream.makeStream(of: Duration.self)

  private struct Listener: Sendable {
    var server: GRPCServer<HTTP2ServerTransport.Posix>
    var transport: HTTP2ServerTransport.Posix
    var address: String
    var unixListener: UnixListener?
  }

  /// Opens the sockets.
  ///
  /// - Parameters:
  ///   - services: What is served. A kind that is missing is `UNIMPLEMENTED`.
  ///   - addresses: Where; all or none of them are opened.
  ///   - options: How.
  ///   - more: Services of other modules, each with its full names.
  package init(
    _ services: ServedServices,
    on addresses: [ListenAddress],
    options: ServerOptions = ServerOptions(),
    more: [(names: [String], service: any RegistrableRPCService)] = []
  ) throws(ServiceError) {
    guard !addresses.isEmpty else {
      throw ServiceError(.invalidArgument, "a server needs an address to listen on")
    }
    var (registered, names) = Self.services(services, options: options)
    for (moreNames, service) in more {
      registered.append(service)
      names += moreNames
    }
    health = HealthState(services: names)
    registered.append(HealthServer(health))
    names.append(HealthServer.name)
    do {
      registered.append(try ReflectionServer(services: names + ReflectionServer.names))
    } catch {
      throw ServiceError(.corrupt, "the embedded descriptors cannot be read", cause: error)
    }
    let sockets = try Self.open(addresses)
    let counter = counter
    listeners = sockets.map { socket in
      let tls = socket.isLocal ? nil : options.tls
      let transport = HTTP2ServerTransport.Posix(
        listeningSocketDescriptor: Int(socket.descriptor),
        transportSecurity: tls.map { .files($0) } ?? .plaintext,
        config: .tuned(options)
      )
      let server = GRPCServer(
        transport: transport,
        services: registered,
        interceptors: [counter]
      )
      return Listener(
        server: server,
        transport: transport,
        address: socket.address,
        unixListener: socket.unixListener
      )
    }
  }

  /// Where the server listens, with the ports that were taken.
  package var addresses: [String] { listeners.map(\.address) }

  /// How many calls have begun, under `package.Service/Method`.
  package var callCounts: [String: Int] { counter.counts }

  /// Serves until `shutDown`, or until the task is cancelled, which breaks running calls off.
  package func run() async throws(ServiceError) {
    // Cancelling a transport that still takes calls ends the process (swift-nio insists on every call
    // having been begun), so cancellation is a shutdown without patience, and the servers' own task knows
    // nothing of it.
    let serving = Task.detached { try await self.serve() }
    let outcome = await withTaskCancellationHandler {
      await serving.result
    } onCancel: {
      shutDown(within: .zero)
    }
    if case .failure(let error) = outcome {
      throw ServiceError(.io, "the server stopped", cause: error)
    }
  }

  private func serve() async throws {
    defer {
      health.stop()
      removeSockets()
    }
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for listener in listeners {
        group.addTask {
          try await listener.server.serve()
          return true
        }
      }
      group.addTask {
        for await deadline in self.shutdown.stream {
          self.health.stop()
          for listener in self.listeners {
            // The next server may start while this one drains.
            listener.unixListener?.giveUpPath()
            // Stopping a transport before it has begun to listen ends the process in a debug build.
            _ = try? await listener.transport.listeningAddress
            listener.server.beginGracefulShutdown()
          }
          try await Task.sleep(for: max(deadline, Self.shortestDeadline))
          return false
        }
        return false
      }
      var running = listeners.count
      while running > 0, let ended = try await group.next() {
        // Either a server ended, or the time for running calls is over.
        running = ended ? running - 1 : 0
      }
      group.cancelAll()
    }
  }

  // Long enough for calls to be begun or refused.
  private static let shortestDeadline: Duration = .milliseconds(50)

  /// Takes no more calls, lets the running ones end, and breaks them off after a time. Any thread.
  package func shutDown(within deadline: Duration) {
    shutdown.continuation.yield(deadline)
    shutdown.continuation.finish()
  }

  /// Removes the files of the Unix sockets: nobody new connects. Any thread; `run` does it at its end.
  package func removeSockets() {
    for listener in listeners { listener.unixListener?.giveUpPath() }
  }

  private static func services(
    _ services: ServedServices,
    options: ServerOptions
  ) -> (services: [any RegistrableRPCService], names: [String]) {
    var registered: [any RegistrableRPCService] = []
    var names: [String] = []
    if let blobs = services.blobs {
      registered.append(BlobServer(blobs, messageSize: options.blobMessageSize))
      names += WireFamily.allCases.map { WireService.blobs.name(in: $0) }
      if options.offersRanges {
        registered.append(RangeServer(blobs, messageSize: options.blobMessageSize))
        names.append(RangeServer.name)
      }
    }
    if let directories = services.directories {
      registered.append(DirectoryServer(directories, limits: options.directoryLimits))
      names += WireFamily.allCases.map { WireService.directories.name(in: $0) }
    }
    if let roots = services.roots {
      registered.append(RootServer(roots))
      names.append(RootServer.name)
    }
    if let pathInfos = services.pathInfos {
      registered.append(PathInfoServer(pathInfos, calculator: services.calculator))
      names += WireFamily.allCases.map { WireService.pathInfos.name(in: $0) }
    }
    return (registered, names)
  }

  private static func open(_ addresses: [ListenAddress]) throws(ServiceError) -> [ListeningSocket] {
    let inherited = try InheritedSockets.ofThisProcess()
    var sockets: [ListeningSocket] = []
    do throws(ServiceError) {
      for address in addresses {
        sockets += try ListeningSocket.open(address, inherited: inherited)
      }
      return sockets
    } catch {
      for socket in sockets {
        socket.unixListener?.giveUpPath()
        close(socket.descriptor)
      }
      throw error
    }
  }
}
