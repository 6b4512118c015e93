import Foundation
import Glibc
import Platform

/// How a process ended.
enum ExitStatus: Equatable, Sendable {
  case exited(CInt)
  case killed(CInt)

  init(waitStatus: CInt) {
    let signal = waitStatus & 0x7f
    self = signal == 0 ? .exited(waitStatus >> 8 & 0xff) : .killed(signal)
  }
}

/// What a process left behind.
struct Outcome: Sendable, CustomStringConvertible {
  var status: ExitStatus
  var output: [UInt8]
  var errors: String

  var text: String { String(decoding: output, as: UTF8.self) }
  var lines: [String] { text.split(separator: "\n").map(String.init) }
  var description: String { "\(status), output \(output.count) bytes, errors: \(errors)" }
}

/// A process of the test's own; killed when the test lets go of it.
final class Child: Sendable {
  let pid: pid_t
  private let outputPath: String
  private let errorPath: String
  private let status = Guarded<ExitStatus?>(nil)
  // Its files live as long as the process.
  private let scratch: Scratch

  /// Starts a program.
  ///
  /// - Parameters:
  ///   - words: The program, looked up along PATH, and its arguments.
  ///   - folder: Where it starts to work.
  ///   - outputTo: Where standard output goes; by default a file that `wait` reads.
  init(
    _ words: [any Word],
    scratch: Scratch,
    environment: [String: String] = [:],
    folder: String? = nil,
    outputTo: CInt? = nil
  ) throws {
    self.scratch = scratch
    let base = scratch.newName("process")
    outputPath = base + ".out"
    errorPath = base + ".err"
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    let flags = O_WRONLY | O_CREAT | O_TRUNC
    if let outputTo {
      posix_spawn_file_actions_adddup2(&actions, outputTo, 1)
    } else {
      posix_spawn_file_actions_addopen(&actions, 1, outputPath, flags, 0o600)
    }
    posix_spawn_file_actions_addopen(&actions, 2, errorPath, flags, 0o600)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // As a shell starts it, whatever the test process does with signals.
    var none = sigset_t()
    sigemptyset(&none)
    var all = sigset_t()
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setflags(
      &attributes,
      Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF)
    )
    var variables = ProcessInfo.processInfo.environment
    variables.merge(environment) { $1 }
    // env(1) becomes the program: the process stays the same.
    let words = (folder.map { ["env", "-C", $0] } ?? []) + words
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { word in
      word.bytes.withCPath { strdup($0) }
    }
    var settings: [UnsafeMutablePointer<CChar>?] = variables.map { strdup("\($0.key)=\($0.value)") }
    defer { for pointer in arguments + settings { free(pointer) } }
    arguments.append(nil)
    settings.append(nil)
    var number = pid_t()
    guard let program = arguments[0] else { throw CallError("strdup") }
    let code = posix_spawnp(&number, program, &actions, &attributes, arguments, settings)
    if code != 0 { throw CallError("start \(words)", code) }
    pid = number
  }

  deinit {
    if status.withLock({ $0 }) == nil {
      kill(pid, SIGKILL)
      var status: CInt = 0
      while waitpid(pid, &status, 0) == -1 && errno == EINTR {}
    }
  }

  func signal(_ number: CInt) throws {
    try check(kill(pid, number), "kill")
  }

  /// Standard error so far.
  var errors: String {
    String(decoding: (try? readAll(errorPath)) ?? [], as: UTF8.self)
  }

  /// Whether it still runs.
  var isRunning: Bool { poll(0) == nil }

  /// Waits for the end.
  func wait() throws -> Outcome {
    guard let status = poll(120) else {
      throw CallError("the process still runs: \(errors)", ETIMEDOUT)
    }
    let output = (try? readAll(outputPath)) ?? []
    return Outcome(status: status, output: output, errors: errors)
  }

  /// Waits for the end, for so many seconds at most.
  private func poll(_ seconds: Int) -> ExitStatus? {
    for _ in 0...(seconds * 200) {
      let ended = status.withLock { known -> ExitStatus? in
        if let known { return known }
        var status: CInt = 0
        if waitpid(pid, &status, WNOHANG) == pid { known = ExitStatus(waitStatus: status) }
        return known
      }
      if let ended { return ended }
      if seconds > 0 { usleep(5000) }
    }
    return nil
  }
}

/// Waits until something holds; a minute without it is an error.
func waitUntil(_ what: String, _ condition: () throws -> Bool) throws {
  for _ in 0..<6000 {
    if try condition() { return }
    usleep(10_000)
  }
  throw CallError("waiting until \(what)", ETIMEDOUT)
}

/// The whole file, by `open(2)` and `read(2)`.
func readAll(_ path: any Word) throws -> [UInt8] {
  let file = try path.bytes.withCPath { try check(open($0, O_RDONLY | O_CLOEXEC), "open") }
  defer { close(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let count = try check(read(file, &buffer, buffer.count), "read")
    if count == 0 { return bytes }
    bytes += buffer[..<count]
  }
}
