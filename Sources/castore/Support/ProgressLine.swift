import Glibc
import Platform

/// Shows how long work goes: one line that is painted over on a terminal, a line now and then elsewhere.
///
/// Its own thread asks for the text, so that the work itself never waits for a terminal.
final class ProgressLine: Sendable {
  private let isTerminal = isatty(2) == 1
  private let isFinished = Latch<Bool>()
  private let crew = ThreadCrew()

  /// Starts to show.
  ///
  /// - Parameter text: What to show now; called ten times a second on a terminal, otherwise every ten
  ///   seconds, from a thread of its own.
  init(_ text: @escaping @Sendable () -> String) {
    // Without a thread there is nothing to see, and no harm.
    try? crew.start(name: "progress") { [isTerminal, isFinished] in
      while isFinished.wait(milliseconds: isTerminal ? 100 : 10_000) == nil {
        if isTerminal {
          Self.paint(text())
        } else {
          note(text())
        }
      }
    }
  }

  /// Stops, and clears the line.
  func finish() {
    isFinished.set(true)
    crew.joinAll()
    if isTerminal { Self.paint("") }
  }

  private static func paint(_ text: String) {
    let bytes = [UInt8]("\r\u{1B}[2K\(text)".utf8)
    writeStandardError(bytes)
  }
}

/// Seconds on a clock that only goes forward.
func monotonicSeconds() -> Double {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}
