import ArgumentParser
import CastoreFileSystem
import CastoreStorage
import FUSE
import Glibc
import Logging
import Platform
import VirtioFS

struct VirtioFSCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "virtiofs",
    abstract: "Serve the store to virtual machines, as a vhost-user device on a Unix socket.",
    discussion: """
      Runs in the foreground until SIGINT, SIGTERM or SIGHUP (unless it was ignored at the start, as nohup \
      has it). Every other signal that ends a process removes the socket first. One machine is served at a time; when it is gone \
      the next may connect. The machine's memory must be shared with this process: see docs/virtiofs.md. \
      SIGUSR1 reports how many requests of each sort the guest sent.
      """
  )

  @OptionGroup var store: StoreOptions
  @OptionGroup var look: FileSystemFlags

  @Option(
    help: """
      The name that the guest mounts, for monitors that ask the device. QEMU has it on its own \
      command line instead.
      """
  )
  var tag: String?

  @Option(help: "How many request queues a guest may use, 1 to 64; each used one has a thread.")
  var queues = 1

  @Option(help: "The longest queue that is accepted: a power of two from 2 to 32768.")
  var queueSize = 32768

  @Option(help: ArgumentHelp("Who may connect to the socket, in octal.", valueName: "mode"))
  var socketMode = "600"

  @Flag(help: "End when the first machine is gone.")
  var once = false

  @Argument(help: "Where the socket is to be.")
  var socket: String

  func validate() throws {
    guard mode != nil else {
      throw ValidationError("--socket-mode: '\(socketMode)' is not an octal mode such as 660")
    }
    if let tag, tag.isEmpty || tag.utf8.count > 36 {
      throw ValidationError("--tag must have 1 to 36 bytes")
    }
    guard (1...64).contains(queues) else {
      throw ValidationError("--queues must be between 1 and 64")
    }
    guard (2...32768).contains(queueSize), queueSize.nonzeroBitCount == 1 else {
      throw ValidationError("--queue-size must be a power of two from 2 to 32768")
    }
    try ArgumentBytes.requireText(socket, "the socket's path")
    if socket.isEmpty { throw ValidationError("the socket's path must not be empty") }
  }

  private var mode: UInt32? {
    UInt32(socketMode, radix: 8).flatMap { $0 <= 0o777 ? $0 : nil }
  }

  func run() async throws {
    let logger = try makeLogger()
    let services = try await store.openServices()
    try services.local?.keepShownRoots()
    // A store elsewhere may have millions of names.
    let options = try look.options(listsRoot: services.local != nil)
    let fileSystem = CastoreFileSystem(
      blobs: services.blobs,
      directories: services.walkedDirectories,
      roots: services.topNodes,
      options: options,
      logger: logger
    )
    var configuration = VirtioFSConfiguration()
    configuration.tag = tag
    configuration.requestQueues = queues
    configuration.maximumQueueSize = queueSize
    configuration.onEvent = { event in
      switch event {
      case .connected, .disconnected: logger.info("\(event)")
      case .frontEndFault, .ringFault: logger.error("\(event)")
      }
    }
    var session = SessionConfiguration()
    session.onFault = { logger.error("\($0)") }
    let watched = try WatchedService<VirtioFSServer> { server in
      logger.info("\(fileSystem.nodeCount) nodes known; requests: \(server.session.requestCounts)")
    } end: { server, ending in
      if ending == .atOnce { server.removeSocket() }
      server.stop()
    }
    let server = try VirtioFSServer(
      fileSystem,
      socket: socket,
      mode: mode ?? 0o600,
      configuration: configuration,
      sessionConfiguration: session
    )
    watched.begin(server)
    logger.info("serving \(services.name) on \(socket)")
    ServiceManager.notify("READY=1\nSTATUS=\(services.name) on \(socket)")
    // On a thread of its own: on one core this may be the only thread that tasks have.
    let ended = Latch<Result<Void, any Error>>()
    _ = try NativeThread(name: "virtiofs") { [once] in
      ended.set(Result { try server.run(once: once) })
    }
    try await ended.get().get()
    ServiceManager.notify("STOPPING=1")
    await services.settle()
    logger.info("stopped serving on \(socket)")
  }
}
