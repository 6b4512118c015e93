public import FUSE
internal import Glibc
public import Platform
internal import Synchronization

/// Serves a file system to virtual machines as a vhost-user device, to one at a time.
///
/// ```swift
/// let server = try VirtioFSServer(fileSystem, socket: "/run/tree.sock")
/// try server.run()  // until `server.stop()` on another thread
/// ```
///
/// The machine's monitor connects to the socket (`-chardev socket,path=... -device vhost-user-fs-pci,...`), and
/// the guest's memory has to be shared with it. When the monitor is gone the next may connect. Where the monitor
/// keeps the table of requests in flight, the session of the file system outlives the connection: the guest goes
/// on when its monitor connects anew. The session of other guests ends with the connection.
///
/// Makes the process handle SIGBUS where guest memory is missing; faults elsewhere go to the former handler.
public final class VirtioFSServer: Sendable {
  /// The session, for its counters.
  public let session: Session
  private let configuration: VirtioFSConfiguration
  private let listener: Guarded<(socket: UnixListener?, isTaken: Bool)>
  private let stopping: Notifier

  /// Makes a server without a socket, for connections that others accept.
  ///
  /// - Parameters:
  ///   - sessionConfiguration: What to agree on with the guest.
  ///   - agreement: What a former server process agreed on with a guest that goes on with this one
  ///     (`session.agreement`). Its node ids must still be good.
  public init(
    _ fileSystem: any FileSystem,
    configuration: VirtioFSConfiguration = VirtioFSConfiguration(),
    sessionConfiguration: SessionConfiguration = SessionConfiguration(),
    resuming agreement: Agreement? = nil
  ) throws(VirtioFSError) {
    try configuration.check()
    do throws(Errno) {
      stopping = try Notifier()
    } catch {
      throw VirtioFSError(.resources, "no eventfd", cause: error)
    }
    var sessionConfiguration = sessionConfiguration
    // Means nothing to another kernel's files.
    sessionConfiguration.capabilities.remove(.passthrough)
    // Its thread ids are those of another kernel, and would be taken for ours.
    sessionConfiguration.hasLocalCallers = false
    session = Session(
      fileSystem: fileSystem,
      configuration: sessionConfiguration,
      resuming: agreement
    )
    self.configuration = configuration
    listener = Guarded((nil, false))
  }

  /// Makes a server and its socket: from now on monitors can connect.
  ///
  /// - Parameters:
  ///   - path: Where the socket is to be, with a lock file beside it (`PATH.lock`). What a dead server left
  ///     is replaced; anything else there is an error. Both are removed when `run` returns.
  ///   - mode: Who may connect: the owner alone unless told otherwise.
  public convenience init(
    _ fileSystem: any FileSystem,
    socket path: String,
    mode: UInt32 = 0o600,
    configuration: VirtioFSConfiguration = VirtioFSConfiguration(),
    sessionConfiguration: SessionConfiguration = SessionConfiguration(),
    resuming agreement: Agreement? = nil
  ) throws(VirtioFSError) {
    try self.init(
      fileSystem,
      configuration: configuration,
      sessionConfiguration: sessionConfiguration,
      resuming: agreement
    )
    do throws(UnixListenerError) {
      let socket = try UnixListener(path: path, mode: mode, backlog: 8)
      listener.withLock { $0.socket = socket }
    } catch {
      throw VirtioFSError(error)
    }
  }

  /// Serves one monitor after the other on this thread, and on one for each ring in use, until `stop`.
  ///
  /// Returns when all is torn down: no thread, mapping or descriptor is left, and the session is finished.
  /// To be called once.
  ///
  /// - Parameter once: Returns when the first monitor is gone. Who connects and says nothing is none.
  public func run(once: Bool = false) throws(VirtioFSError) {
    let socket = listener.withLock { listener in
      defer { listener.isTaken = true }
      return listener.isTaken ? nil : listener.socket
    }
    guard let socket else {
      throw VirtioFSError(.configuration, "a server without a socket cannot run")
    }
    defer {
      listener.withLock { $0.socket = nil }
      session.finish()
    }
    while try waitForConnection(socket) {
      guard let connection = socket.accept() else {
        // Gone already, or there is no descriptor to be had: then the next try is not due at once.
        pause(milliseconds: 50)
        continue
      }
      let visit = serveUntilGone(connection)
      if visit.isStopped || once && visit.hasSpoken { return }
    }
  }

  /// Serves one monitor over a connected Unix stream socket, on this thread, until it is gone or `stop`.
  ///
  /// The session is not finished if the monitor can bring its guest back: another connection goes on with it,
  /// but not at the same time.
  public func serve(_ connection: consuming OwnedDescriptor) {
    _ = serveUntilGone(connection)
  }

  /// Makes `run` and `serve` return soon, now or as soon as they are called. Safe to call from any thread,
  /// but not from a signal handler.
  ///
  /// Waits for nothing. Requests that the file system has detached are answered with an error.
  public func stop() {
    stopping.signal()
  }

  /// Removes the socket's file, if it is still the server's own, for a process that cannot wait for `run` to
  /// return. Safe to call from any thread, but not from a signal handler.
  public func removeSocket() {
    listener.withLock { $0.socket }?.giveUpPath()
  }

  private func serveUntilGone(
    _ connection: consuming OwnedDescriptor
  ) -> (isStopped: Bool, hasSpoken: Bool) {
    configuration.onEvent?(.connected)
    let device = Device(
      connection: FrontEndConnection(connection, stop: stopping),
      session: session,
      configuration: configuration
    )
    let end = device.serve()
    if case .broken(let fault) = end {
      configuration.onEvent?(.frontEndFault(fault.description))
    }
    configuration.onEvent?(.disconnected)
    if case .stopped = end { return (true, device.hasSpoken) }
    return (false, device.hasSpoken)
  }

  private func pause(milliseconds: CInt) {
    var file = pollfd(fd: stopping.number, events: Int16(POLLIN), revents: 0)
    _ = poll(&file, 1, milliseconds)
  }

  /// False if the server is to stop.
  private func waitForConnection(_ socket: UnixListener) throws(VirtioFSError) -> Bool {
    var files = [
      pollfd(fd: socket.number, events: Int16(POLLIN), revents: 0),
      pollfd(fd: stopping.number, events: Int16(POLLIN), revents: 0),
    ]
    while poll(&files, nfds_t(files.count), -1) == -1 {
      guard errno == EINTR else {
        throw VirtioFSError(.resources, "cannot wait for connections", cause: Errno.current)
      }
    }
    return files[1].revents == 0
  }
}
