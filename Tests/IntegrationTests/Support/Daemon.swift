import Foundation
import Glibc
import Testing

/// A store that is served by a process of its own.
final class Daemon: Sendable {
  let process: Child
  /// Clients' addresses of the Unix socket and, where it listens there, of a TCP port.
  let unixURL: String
  let tcpURL: String?

  /// Serves on a Unix socket in the test's folder.
  ///
  /// - Parameter tcp: Whether to serve on a free TCP port, too.
  init(
    _ castore: Castore,
    _ flags: any Word...,
    socket: String = "s.sock",
    tcp: Bool = false
  ) throws {
    let path = castore.scratch.path + "/" + socket
    unixURL = "grpc+unix://" + path
    var words: [any Word] = ["daemon", "--listen", "unix:" + path]
    if tcp { words += ["--listen", "127.0.0.1:0"] }
    let process = try castore.start(words + flags)
    self.process = process
    let count = tcp ? 2 : 1
    try waitUntil("the daemon serves") {
      if !process.isRunning { throw CallError("daemon: \(try process.wait())", 0) }
      return process.errors.split(separator: "\n").count { $0.contains(" serving ") } == count
    }
    let line = process.errors.split(separator: "\n").first { $0.contains(" on 127.0.0.1:") }
    tcpURL = line?.split(separator: " ").last.map { "grpc+http://\($0)" }
  }

  deinit {
    if process.isRunning { try? process.signal(SIGKILL) }
  }

  /// Ends it as a user does.
  func stop() throws -> Outcome {
    try process.signal(SIGTERM)
    return try process.wait()
  }

  /// Ends it as a power cut does.
  func kill() throws {
    try process.signal(SIGKILL)
    _ = try process.wait()
  }
}
