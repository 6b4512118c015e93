import CLinux
import Glibc
import Platform

/// Turns signals into calls on a thread of its own, where any code may run.
///
/// By a handler and a pipe: blocking the signals for `sigwait(3)` would have to happen before the first
/// thread exists, which is not ours to decide, and would pass on to every program that we start.
///
/// Every signal that would end the process counts, so that nothing is left behind: no dead mount, no socket
/// that nobody listens at, no half of a tree. One that was ignored when the process started stays so
/// (`nohup`), but for SIGINT, SIGQUIT and SIGTERM: shells ignore the first two for what runs in the
/// background, and a service has to end by them.
enum ProcessSignals {
  /// How a service is to end.
  enum Ending {
    /// What is under way may come to its end: SIGHUP, SIGINT, SIGTERM.
    case gracefully
    /// The process dies as soon as the call returns, or takes too long: a second signal, and all others.
    case atOnce
  }

  /// Watches over a service.
  ///
  /// - Parameters:
  ///   - report: SIGUSR1.
  ///   - end: Takes away what others see of the service. Called once for each way at most, one after the
  ///     other, and `gracefully` first if at all.
  static func serve(
    report: @escaping @Sendable () -> Void,
    end: @escaping @Sendable (Ending) -> Void
  ) throws {
    try start(report: report, end: end)
    for signal in SignalNumbers.ending where SignalNumbers.isToBeCaught(signal) {
      _ = CLinux_catch_signal(signal)
    }
    for signal in SignalNumbers.faults where CLinux_disposition(signal) != ignored {
      _ = CLinux_catch_fault(signal)
    }
    _ = CLinux_catch_signal(SIGUSR1)
  }

  /// Breaks off work when a signal comes; a second one ends the process.
  static func cancel(_ body: @escaping @Sendable () -> Void) throws {
    try start(report: nil) { if $0 == .gracefully { body() } }
    for signal in SignalNumbers.ending + [SIGUSR1] where SignalNumbers.isToBeCaught(signal) {
      _ = CLinux_catch_signal(signal)
    }
  }

  /// Ends the process as a signal does that nobody catches.
  static func die(of signal: CInt) -> Never {
    _ = Glibc.signal(signal, SIG_DFL)
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, signal)
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
    raise(signal)
    // The first process of a container does not die of it.
    _exit(128 + signal)
  }

  /// Ends the process as a signal wants it that came before its work was at its end.
  ///
  /// Returns if there was none that wants it to end otherwise than by itself.
  static func dieIfPending() {
    guard let death = death.withLock({ $0 }) else { return }
    switch death {
    case .signal(let number): die(of: number)
    case .fault:
      // The thread that has it dies, and the process with it.
      while true { pause() }
    }
  }

  private enum Death {
    case signal(CInt)
    case fault
  }

  private static let death = Guarded<Death?>(nil)
  private static let ignored = CInt(CLinux_disposition_ignored)

  private static func start(
    report: (@Sendable () -> Void)?,
    end: @escaping @Sendable (Ending) -> Void
  ) throws {
    var ends: [CInt] = [-1, -1]
    guard pipe(&ends) == 0 else { throw CommandError("cannot make a pipe: \(Errno.current)") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    // A full pipe must not stop the thread that the signal came to.
    _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
    CLinux_report_signals_to(ends[1])
    let reader = Reader(descriptor: ends[0], report: report, end: end)
    do throws(Errno) {
      _ = try NativeThread(name: "signals") { reader.run() }
      _ = try NativeThread(name: "signal-calls") { reader.calls.run() }
    } catch {
      throw CommandError("cannot start a thread: \(error)")
    }
  }

  /// Reads which signals came, and is never held up by what they call.
  private final class Reader: Sendable {
    let descriptor: CInt
    let report: (@Sendable () -> Void)?
    let end: @Sendable (Ending) -> Void
    let calls = CallQueue()
    private let isEnding = Guarded(false)

    init(
      descriptor: CInt,
      report: (@Sendable () -> Void)?,
      end: @escaping @Sendable (Ending) -> Void
    ) {
      self.descriptor = descriptor
      self.report = report
      self.end = end
    }

    func run() {
      var byte: UInt8 = 0
      while true {
        let count = read(descriptor, &byte, 1)
        if count == 1 {
          take(byte)
        } else if count == 0 || errno != EINTR {
          return
        }
      }
    }

    private func take(_ byte: UInt8) {
      let signal = CInt(byte & 0x7F)
      if byte & 0x80 != 0 {
        death.withLock { $0 = .fault }
        endAtOnce()
        return CLinux_fault_handled()
      }
      if signal == SIGUSR1, let report {
        calls.add(report)
        return
      }
      let isFirst = isEnding.withLock { isEnding in
        defer { isEnding = true }
        return !isEnding
      }
      // The kernel and the shell both report the end of a terminal.
      if signal == SIGHUP && !isFirst { return }
      let isRequest = [SIGHUP, SIGINT, SIGTERM].contains(signal)
      if !isFirst || !isRequest { death.withLock { $0 = .signal(signal) } }
      if isFirst && (isRequest || report == nil) {
        return calls.add { [end] in end(.gracefully) }
      }
      endAtOnce()
      LogWriter.shared.flush()
      die(of: signal)
    }

    private func endAtOnce() {
      let isDone = Latch<Bool>()
      calls.add { [end] in
        end(.atOnce)
        isDone.set(true)
      }
      // Less than what a thread with a fault waits for.
      _ = isDone.wait(milliseconds: Int(CLinux_fault_patience) - 500)
    }
  }

  /// Calls that are made one after the other, on one thread.
  private final class CallQueue: Sendable {
    private let calls = Monitor<[@Sendable () -> Void]>([])

    func add(_ call: @escaping @Sendable () -> Void) {
      calls.withLock { $0.append(call) }
      calls.notifyAll()
    }

    func run() {
      while true {
        let call = calls.withLock(waitingWhile: { $0.isEmpty }) { $0.removeFirst() }
        call()
      }
    }
  }
}

/// Signals by what they do to a process by default, see signal(7).
private enum SignalNumbers {
  /// They end it, and somebody sends them. Without SIGKILL, and without those of which every command takes
  /// note by other means (SIGPIPE, SIGXFSZ) or in its own way (SIGUSR1).
  static let ending: [CInt] =
    [
      SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGPOLL, SIGPWR,
      SIGSTKFLT, SIGXCPU,
    ] + Array(34...64)

  /// They end it, and stand for a fault of its own, unless somebody sends them.
  static let faults: [CInt] = [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP]

  static func isToBeCaught(_ signal: CInt) -> Bool {
    let disposition = CLinux_disposition(signal)
    if [SIGINT, SIGQUIT, SIGTERM].contains(signal) { return true }
    return disposition == CInt(CLinux_disposition_default)
  }
}
