import Glibc
import Platform

/// Shows how long work goes: one line that is painted over on a terminal, a line now and then elsewhere.
///
/// Its own thread asks for the text, so that the work itself never waits for a terminal.
final class ProgressLine: Sendable {
  private struct State {
    var isRunning = true
    var thread: pthread_t?
  }

  private let isTerminal = isatty(2) == 1
  private let state = Guarded(State())
  private let text: @Sendable () -> String

  /// Starts to show.
  ///
  /// - Parameter text: What to show now; called ten times a second on a terminal, otherwise every ten
  ///   seconds, from a thread of its own.
  init(_ text: @escaping @Sendable () -> String) {
    self.text = text
    let me = Unmanaged.passRetained(self)
    var thread = pthread_t()
    // The thread gives the reference back when it ends.
    let code = pthread_create(
      &thread,
      nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<ProgressLine>.fromOpaque(argument).takeRetainedValue().show()
        return nil
      },
      me.toOpaque()
    )
    if code == 0 {
      let started = thread
      state.withLock { $0.thread = started }
    } else {
      me.release()
    }
  }

  /// Stops, and clears the line.
  func finish() {
    let thread = state.withLock { state in
      state.isRunning = false
      defer { state.thread = nil }
      return state.thread
    }
    guard let thread else { return }
    pthread_join(thread, nil)
    if isTerminal { paint("") }
  }

  private func show() {
    var ticks = 0
    while state.withLock({ $0.isRunning }) {
      usleep(100_000)
      ticks += 1
      if isTerminal {
        paint(text())
      } else if ticks % 100 == 0 {
        note(text())
      }
    }
  }

  private func paint(_ text: String) {
    let bytes = [UInt8]("\r\u{1B}[2K\(text)".utf8)
    _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
  }
}

/// Seconds on a clock that only goes forward.
func monotonicSeconds() -> Double {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}
