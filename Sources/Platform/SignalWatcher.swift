internal import CLinux
internal import Glibc

/// Where the handler writes to. Set before the first handler is installed, and never again.
private nonisolated(unsafe) var pipeEnd: CInt = -1

/// Turns signals into calls on a thread of its own, where any code may run.
///
/// By a handler and a pipe: blocking the signals for `sigwait(3)` would have to happen before the first
/// thread exists, which is not ours to decide, and would pass on to every program that we start.
package enum SignalWatcher {
  package typealias Handler = @Sendable (CInt) -> Void

  private struct State {
    var isStarted = false
    var handlers: [CInt: Handler] = [:]
  }

  private static let state = Guarded(State())

  /// What the process does with a signal now.
  package enum Disposition {
    case byDefault
    case ignored
    case handled
  }

  package static func disposition(of signal: CInt) -> Disposition {
    var action = sigaction()
    sigaction(signal, nil, &action)
    // Both are pointers or none: SIG_DFL is 0, SIG_IGN is 1.
    return switch unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) {
    case 0: .byDefault
    case 1: .ignored
    default: .handled
    }
  }

  /// Calls `handler` with each of the signals that comes, one at a time, until `restore`.
  package static func watch(_ signals: [CInt], _ handler: @escaping Handler) throws(Errno) {
    try state.withLock { (state) throws(Errno) in
      if !state.isStarted {
        try start()
        state.isStarted = true
      }
      for signal in signals { state.handlers[signal] = handler }
    }
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

  /// Lets signals do again what they do by themselves.
  package static func restore(_ signals: [CInt]) {
    for signal in signals { _ = Glibc.signal(signal, SIG_DFL) }
    state.withLock { state in
      for signal in signals { state.handlers[signal] = nil }
    }
  }

  /// Ends the process as the signal does by itself, if it does.
  package static func endProcess(by signal: CInt) {
    _ = Glibc.signal(signal, SIG_DFL)
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, signal)
    // Other threads may all block it; the whole process ends all the same.
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
    raise(signal)
  }

  private static func start() throws(Errno) {
    var ends: [CInt] = [-1, -1]
    _ = try retryingOnInterrupt { pipe(&ends) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    // A full pipe must not stop the thread that the signal came to.
    _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
    let reading = ends[0]
    do throws(Errno) {
      // Never ends, and so keeps the descriptor.
      _ = try NativeThread(name: "signals") { read(from: reading) }
    } catch {
      for end in ends { close(end) }
      throw error
    }
    pipeEnd = ends[1]
  }

  private static func read(from descriptor: CInt) {
    var byte: UInt8 = 0
    while true {
      let count = Glibc.read(descriptor, &byte, 1)
      if count == 1 {
        let signal = CInt(byte)
        // Called without the lock. None where the signal came just before `restore`.
        state.withLock { $0.handlers[signal] }?(signal)
      } else if count == 0 || errno != EINTR {
        return
      }
    }
  }
}
