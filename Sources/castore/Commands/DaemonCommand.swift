import ArgumentParser
import Castore
import CastoreComposition
import CastoreRPC
import CastoreStorage
import Glibc
import Logging

struct DaemonCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "daemon",
    abstract: "Serve the store to other machines and programs over gRPC.",
    discussion: """
      Runs in the foreground. Whoever can connect may read and write: listen on a Unix socket or on \
      a network that you trust, or give --read-only. Addresses are HOST:PORT, [IPV6]:PORT, \
      unix:PATH, and sd-listen or sd-listen:NAME for sockets that systemd opened; without any, those \
      of systemd if there are some, or else localhost:8000, where clients of the protocol look.

      SIGINT, SIGTERM and SIGHUP (unless it was ignored at the start, as nohup has it) let running calls \
      end, for a time; a second one ends them. Every other signal that ends a process removes the sockets \
      first. SIGUSR1 reports how many calls of each sort there were.
      """
  )

  @OptionGroup var store: StoreOptions

  @Option(
    help: ArgumentHelp("Where to listen; may be given several times.", valueName: "address")
  )
  var listen: [String] = []

  @Option(
    help: ArgumentHelp("Encrypt TCP: the certificates (PEM), one's own first.", valueName: "file")
  )
  var tlsCertificates: String?

  @Option(help: ArgumentHelp("Encrypt TCP: the private key (PEM).", valueName: "file"))
  var tlsKey: String?

  @Flag(help: "Take nothing: neither blobs nor directories nor names.")
  var readOnly = false

  @Option(help: ArgumentHelp("How long running calls may take to end.", valueName: "seconds"))
  var shutdownTimeout = 10

  func validate() throws {
    if (tlsCertificates == nil) != (tlsKey == nil) {
      throw ValidationError("--tls-certificates and --tls-key go together")
    }
    if shutdownTimeout < 0 { throw ValidationError("--shutdown-timeout must not be negative") }
    do throws(ServiceError) {
      _ = try addresses()
    } catch {
      throw ValidationError(error.description)
    }
  }

  func run() async throws {
    let logger = try makeLogger()
    let services = try await store.openServices(create: !readOnly)
    var options = ServerOptions()
    if let tlsCertificates, let tlsKey {
      options.tls = ServerOptions.TLS(certificates: tlsCertificates, privateKey: tlsKey)
    }
    let patience = Duration.seconds(shutdownTimeout)
    let watched = try WatchedService<CastoreServer> { server in
      let counts = server.callCounts.sorted { $0.key < $1.key }
      logger.info("calls: \(counts.map { "\($0.key) \($0.value)" }.joined(separator: ", "))")
    } end: { server, ending in
      if ending == .atOnce {
        logger.notice("ending at once")
        return server.removeSockets()
      }
      logger.info("shutting down; running calls have \(patience) to end")
      ServiceManager.notify("STOPPING=1")
      server.shutDown(within: patience)
    }
    let server: CastoreServer
    do throws(ServiceError) {
      server = try CastoreServer(served(services), on: addresses(), options: options)
    } catch {
      // Where to listen came from the command line.
      if error.code == .invalidArgument { throw ValidationError(error.description) }
      throw error
    }
    watched.begin(server)
    for address in server.addresses { logger.info("serving \(services.name) on \(address)") }
    ServiceManager.notify(
      "READY=1\nSTATUS=\(services.name) on \(server.addresses.joined(separator: ", "))"
    )
    try await serve(server, services.local)
    await services.settle()
    logger.info("shut down")
  }

  /// How long a client has at least between storing something and naming it: what it stored is kept from
  /// collections for that long.
  private static let period = Duration.seconds(15 * 60)

  private func serve(_ server: CastoreServer, _ store: LocalStore?) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await server.run() }
      if let store {
        group.addTask {
          while !Task.isCancelled {
            do { try await Task.sleep(for: Self.period) } catch { return }
            try store.beginNextPeriod()
          }
        }
      }
      try await group.next()
      group.cancelAll()
    }
  }

  private func addresses() throws(ServiceError) -> [ListenAddress] {
    if !listen.isEmpty {
      return try listen.map { (text) throws(ServiceError) in try ListenAddress(text) }
    }
    if environment("LISTEN_FDS") != nil, environment("LISTEN_PID") == String(getpid()) {
      return [.inherited(name: nil)]
    }
    return [.tcp(host: "localhost", port: 8000)]
  }

  private func served(_ services: Services) -> ServedServices {
    let opened = services.opened
    let calculator = services.rememberingCalculator
    guard readOnly else {
      return ServedServices(
        blobs: opened.blobs,
        directories: opened.directories,
        roots: opened.roots,
        pathInfos: opened.pathInfos,
        calculator: calculator
      )
    }
    return ServedServices(
      blobs: opened.blobs.map { ReadOnlyBlobService($0) },
      directories: opened.directories.map { ReadOnlyDirectoryService($0) },
      roots: opened.roots.map { ReadOnlyRootNodes($0) },
      pathInfos: opened.pathInfos.map { ReadOnlyPathInfoService($0) },
      calculator: calculator
    )
  }
}
