import Glibc

/// Where the handler writes to. Set before the first handler is installed, and never again.
private nonisolated(unsafe) var pipeEnd: CInt = -1

/// Turns signals into calls on a thread of its own, where any code may run.
///
/// By a handler and a pipe: blocking the signals for `sigwait(3)` would have to happen before the first
/// thread exists, which is not ours to decide, and would pass on to every program that we start.
enum SignalWatcher {
  /// Calls `handler` with each signal that comes, one at a time, until the process ends. Once only.
  static func watch(_ signals: [CInt], _ handler: @escaping @Sendable (CInt) -> Void) throws {
    precondition(pipeEnd == -1, "a command sets up its signals once")
    var ends: [CInt] = [-1, -1]
    guard pipe(&ends) == 0 else {
      throw CommandError("cannot make a pipe: \(String(cString: strerror(errno)))")
    }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    // A full pipe must not stop the thread that the signal came to.
    _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
    pipeEnd = ends[1]
    try startThread(Reader(descriptor: ends[0], handler: handler))
    var action = sigaction()
    sigemptyset(&action.sa_mask)
    action.sa_flags = SA_RESTART
    action.__sigaction_handler.sa_handler = { signal in
      let saved = errno
      var byte = UInt8(truncatingIfNeeded: signal)
      _ = write(pipeEnd, &byte, 1)
      errno = saved
    }
    for signal in signals { sigaction(signal, &action, nil) }
  }

  /// Lets a signal do again what it does by itself.
  static func restore(_ signals: [CInt]) {
    for signal in signals { _ = Glibc.signal(signal, SIG_DFL) }
  }

  private static func startThread(_ reader: Reader) throws {
    let reader = Unmanaged.passRetained(reader)
    var thread = pthread_t()
    // The thread never ends, and keeps the reference that it is given.
    let code = pthread_create(
      &thread,
      nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Reader>.fromOpaque(argument).takeUnretainedValue().run()
        return nil
      },
      reader.toOpaque()
    )
    guard code == 0 else {
      throw CommandError("cannot start a thread: \(String(cString: strerror(code)))")
    }
    pthread_detach(thread)
  }

  private final class Reader: Sendable {
    let descriptor: CInt
    let handler: @Sendable (CInt) -> Void

    init(descriptor: CInt, handler: @escaping @Sendable (CInt) -> Void) {
      self.descriptor = descriptor
      self.handler = handler
    }

    func run() {
      var byte: UInt8 = 0
      while true {
        let count = read(descriptor, &byte, 1)
        if count == 1 {
          handler(CInt(byte))
        } else if count == 0 || errno != EINTR {
          return
        }
      }
    }
  }
}
