import Foundation
import Glibc
import Testing

/// Standard error that nobody reads.
@Suite(.serialized, .ownThread)
struct LogTests {
  enum Kind: String, CaseIterable {
    case mount, daemon, virtiofs
  }

  /// A service whose standard error is a pipe.
  private struct Service {
    let castore: Castore
    let process: Child
    let place: String
    let kind: Kind

    init(_ kind: Kind, log: CInt) throws {
      castore = try SampleStore.make(entries: 1).castore
      self.kind = kind
      let folder = try castore.scratch.makeFolder("place")
      let words: [any Word]
      switch kind {
      case .mount: (place, words) = (folder, ["mount", folder])
      case .daemon: (place, words) = (folder + "/s", ["daemon", "--listen", "unix:\(folder)/s"])
      case .virtiofs: (place, words) = (folder + "/s", ["virtiofs", folder + "/s"])
      }
      process = try castore.start(
        words,
        through: ["sh", "-c", "exec \"$@\" 2>&1", "sh"],
        outputTo: log
      )
      let place = place
      try waitUntil("it is there") {
        kind == .mount
          ? !Scratch.mountPoints(below: place).isEmpty : access(place, F_OK) == 0
      }
    }

    /// Uses it, which makes it log, too.
    func use() throws {
      switch kind {
      case .mount:
        #expect(try readAll(place + "/tree/a/a") == "only in a".bytes)
      case .daemon:
        let outcome = try castore.succeed("cat", "--store", "grpc+unix://" + place, "tree/a/a")
        #expect(outcome.text == "only in a")
      case .virtiofs:
        let client = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        defer { close(client) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: place.utf8) }
        let connected = withUnsafePointer(to: &address) { pointer in
          pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(client, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
          }
        }
        try check(connected, "connect")
      }
    }

    /// Ends it; whatever it has to say by then has no effect on that.
    func end() throws {
      try process.signal(SIGTERM)
      #expect(try process.wait().status == .exited(0))
      if kind == .mount {
        #expect(Scratch.mountPoints(below: place).isEmpty)
      } else {
        #expect(access(place, F_OK) == -1)
      }
    }
  }

  private func makePipe() throws -> (reading: CInt, writing: CInt) {
    var ends: [CInt] = [0, 0]
    try check(pipe(&ends), "pipe")
    for end in ends { try check(fcntl(end, F_SETFD, FD_CLOEXEC), "fcntl") }
    return (ends[0], ends[1])
  }

  @Test("a log whose reader goes away ends nothing", arguments: Kind.allCases)
  func readerGone(_ kind: Kind) throws {
    let log = try makePipe()
    defer { close(log.writing) }
    let service = try Service(kind, log: log.writing)
    close(log.reading)
    for _ in 0..<3 {
      try service.process.signal(SIGUSR1)
      try service.use()
    }
    try service.end()
  }

  @Test("a log that is full ends and holds up nothing", arguments: Kind.allCases)
  func fullPipe(_ kind: Kind) throws {
    let log = try makePipe()
    defer {
      close(log.reading)
      close(log.writing)
    }
    // Full before it begins.
    try check(fcntl(log.writing, F_SETFL, O_NONBLOCK), "fcntl")
    let block = [UInt8](repeating: 0x2E, count: 4096)
    while write(log.writing, block, block.count) > 0 {}
    while write(log.writing, block, 1) > 0 {}
    try check(fcntl(log.writing, F_SETFL, 0), "fcntl")
    let service = try Service(kind, log: log.writing)
    for _ in 0..<20 {
      try service.process.signal(SIGUSR1)
      try service.use()
    }
    if kind == .mount {
      // The threads that answer the kernel have something to say of this.
      try service.castore.scratch.succeed(
        "sh",
        "-c",
        "find '\(service.castore.storePath)/blobs' -type f -delete"
      )
      for _ in 0..<300 {
        #expect(throws: CallError.self) { try readAll(service.place + "/tree/large") }
      }
      #expect(try readAll(service.place + "/tree/b/b") == "only in b".bytes)
    }
    try service.end()
  }

  @Test("an error that cannot be told ends a command all the same")
  func unreadError() throws {
    let castore = Castore(try Scratch())
    let log = try makePipe()
    defer { close(log.writing) }
    close(log.reading)
    let wrapper: [any Word] = ["sh", "-c", "exec \"$@\" 2>&1", "sh"]
    let outcome = try castore.start(["ls"], through: wrapper, outputTo: log.writing).wait()
    #expect(outcome.status == .exited(1))
    let usage = try castore.start(["nosuch"], through: wrapper, outputTo: log.writing).wait()
    #expect(usage.status == .exited(64))
    let mount = try castore.start(["mount", "/none"], through: wrapper, outputTo: log.writing)
      .wait()
    #expect(mount.status == .exited(1))
  }
}
