import Glibc

/// Waits for signals on a thread of its own, where any code may run.
final class SignalWatcher: Sendable {
  private let signals: [CInt]

  /// Blocks the signals in the calling thread and all that it starts from now on.
  init(_ signals: [CInt]) {
    self.signals = signals
    var set = Self.set(signals)
    pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  /// Calls `handler` with each signal that comes, one at a time, until the process ends.
  func start(_ handler: @escaping @Sendable (CInt) -> Void) {
    let body = Unmanaged.passRetained(Body(signals: signals, handler: handler))
    var thread = pthread_t()
    // The thread never ends, and keeps the reference that it is given.
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Body>.fromOpaque(argument).takeUnretainedValue().run()
      }, body.toOpaque())
    precondition(code == 0, "a process that cannot start a thread cannot have come this far")
    pthread_detach(thread)
  }

  /// Lets signals through to the calling thread again.
  static func unblock(_ signals: [CInt]) {
    var set = set(signals)
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
  }

  private static func set(_ signals: [CInt]) -> sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal) }
    return set
  }

  private final class Body: Sendable {
    let signals: [CInt]
    let handler: @Sendable (CInt) -> Void

    init(signals: [CInt], handler: @escaping @Sendable (CInt) -> Void) {
      self.signals = signals
      self.handler = handler
    }

    func run() -> Never {
      var set = SignalWatcher.set(signals)
      while true {
        var signal: CInt = 0
        if sigwait(&set, &signal) == 0 { handler(signal) }
      }
    }
  }
}
