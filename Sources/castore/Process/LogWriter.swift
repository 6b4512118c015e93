import Glibc
import Logging
import Platform

/// Standard error for those who must not wait for it: a thread of its own writes.
///
/// Whoever reads may be slow, or gone. A line that cannot be written is dropped, and so is one for which
/// there is no more room because those before it are stuck.
final class LogWriter: Sendable {
  /// The process's, once `start` was called.
  static let shared = LogWriter()

  private struct State {
    var lines: [[UInt8]] = []
    var byteCount = 0
    var dropped = 0
    var isStarted = false
    var isWriting = false
  }

  private let state = Monitor(State())
  private static let capacity = 256 << 10

  /// Starts the thread; from now on `note` and errors go this way, too.
  func start() throws {
    guard state.withLock({ !$0.isStarted }) else { return }
    do throws(Errno) {
      _ = try NativeThread(name: "log") { [self] in run() }
    } catch {
      throw CommandError("cannot start a thread: \(error)")
    }
    state.withLock { $0.isStarted = true }
  }

  /// Whether lines go this way.
  var isStarted: Bool { state.withLock { $0.isStarted } }

  /// Hands lines over. Never waits.
  func write(_ line: [UInt8]) {
    state.withLock { state in
      guard state.byteCount + line.count <= Self.capacity else {
        state.dropped += 1
        return
      }
      state.lines.append(line)
      state.byteCount += line.count
    }
    state.notifyAll()
  }

  /// Waits until everything is written, but not for long.
  func flush(milliseconds: Int = 500) {
    var waited = 0
    while waited < milliseconds,
      state.withLock({ $0.isStarted && ($0.isWriting || !$0.lines.isEmpty) })
    {
      usleep(1000)
      waited += 1
    }
  }

  private func run() {
    while true {
      let (lines, dropped) = state.withLock(waitingWhile: { $0.lines.isEmpty && $0.dropped == 0 }) {
        state in
        defer { (state.lines, state.byteCount, state.dropped) = ([], 0, 0) }
        state.isWriting = true
        return (state.lines, state.dropped)
      }
      for line in lines { writeStandardError(line) }
      if dropped > 0 {
        writeStandardError([UInt8]("castore: \(dropped) lines were dropped\n".utf8))
      }
      state.withLock { $0.isWriting = false }
    }
  }
}

/// Where the log goes.
struct LogStream: TextOutputStream, Sendable {
  mutating func write(_ text: String) {
    LogWriter.shared.write([UInt8](text.utf8))
  }
}

/// Writes all bytes to standard error, however long that takes; what it refuses is dropped.
func writeStandardError(_ bytes: [UInt8]) {
  var rest = bytes[...]
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
    if count >= 0 {
      rest = rest.dropFirst(count)
    } else if errno == EAGAIN {
      // Somebody else made it so.
      var file = pollfd(fd: 2, events: Int16(POLLOUT), revents: 0)
      _ = poll(&file, 1, -1)
    } else if errno != EINTR {
      return
    }
  }
}
