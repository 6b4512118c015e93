import Foundation
import Glibc
import Platform
import Testing

/// The example of the documentation, as a program of its own.
private final class HelloProcess {
  let path: String
  let process: pid_t
  private let log: String
  private var hasEnded = false

  /// - Parameter prelude: What a shell does before it becomes the program.
  init(_ fixture: MountFixture, at path: String, prelude: String = "") throws {
    self.path = path
    log = "\(fixture.folder)/log"
    let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let program = (tests as NSString).deletingLastPathComponent + "/hello-fs"
    process = try spawn([
      "/bin/sh", "-c", "\(prelude) exec \"$0\" \"$1\" >\"$2\" 2>&1", program, path, log,
    ])
  }

  deinit {
    if !hasEnded {
      kill(process, SIGKILL)
      waitpid(process, nil, 0)
    }
  }

  var output: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }

  /// Waits until it has said something.
  func wait(for text: String) async throws {
    for _ in 0..<6000 {
      if output.contains(text) { return }
      try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record("waiting for '\(text)', got: \(output)")
  }

  func signal(_ number: CInt) { kill(process, number) }

  /// The exit status, or the negated signal; that of SIGKILL where it does not end within a minute.
  func end() async throws -> CInt {
    var status: CInt = 0
    for _ in 0..<6000 where !hasEnded {
      hasEnded = waitpid(process, &status, WNOHANG) == process
      if !hasEnded { try await Task.sleep(for: .milliseconds(10)) }
    }
    if !hasEnded {
      kill(process, SIGKILL)
      waitpid(process, &status, 0)
      hasEnded = true
    }
    return status & 0x7f == 0 ? status >> 8 & 0xff : -(status & 0x7f)
  }
}

@Suite("The example of the documentation", .serialized, .timeLimit(.minutes(3)))
struct HelloTests {
  let fixture: MountFixture

  init() throws {
    fixture = try MountFixture()
  }

  @Test(
    "works, and any signal that would end it unmounts",
    arguments: [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGALRM, 40]
  )
  func signals(_ signal: CInt) async throws {
    let hello = try HelloProcess(fixture, at: try fixture.directory("mnt"))
    try await hello.wait(for: "mounted")
    #expect(try await run("cat", "\(hello.path)/hello").output == "hello\n")
    #expect(try await run("ls", "-a", hello.path).output == ".\n..\nhello\n")
    hello.signal(signal)
    #expect(try await hello.end() == 0)
    #expect(hello.output == "mounted\nstopping \(signal)\nunmounted\n")
    #expect(try mountLines(below: fixture.folder).isEmpty)
  }

  @Test("umount from outside ends it")
  func unmounted() async throws {
    let hello = try HelloProcess(fixture, at: try fixture.directory("mnt"))
    try await hello.wait(for: "mounted")
    #expect(umount2(hello.path, 0) == 0)
    #expect(try await hello.end() == 0)
  }

  @Test("a signal that it was started to ignore is ignored")
  func ignored() async throws {
    let path = try fixture.directory("mnt")
    let hello = try HelloProcess(fixture, at: path, prelude: "trap '' HUP;")
    try await hello.wait(for: "mounted")
    hello.signal(SIGHUP)
    #expect(try await run("cat", "\(hello.path)/hello").output == "hello\n")
    hello.signal(SIGTERM)
    #expect(try await hello.end() == 0)
    #expect(hello.output == "mounted\nstopping \(SIGTERM)\nunmounted\n")
  }

  @Test("a second signal ends it while the mount is in use")
  func second() async throws {
    let hello = try HelloProcess(fixture, at: try fixture.directory("mnt"))
    try await hello.wait(for: "mounted")
    let path = hello.path
    let file = try await onThread { open("\(path)/hello", O_RDONLY | O_CLOEXEC) }
    defer { close(file) }
    hello.signal(SIGTERM)
    try await hello.wait(for: "detached")
    #expect(try mountLines(below: fixture.folder).isEmpty)
    hello.signal(SIGINT)
    #expect(try await hello.end() == -SIGINT)
  }

  @Test("a second signal ends it where it cannot be unmounted")
  func stuck() async throws {
    let hello = try HelloProcess(fixture, at: try fixture.directory("mnt"))
    try await hello.wait(for: "mounted")
    #expect(Glibc.mount("cover", hello.path, "tmpfs", 0, nil) == 0)
    hello.signal(SIGTERM)
    try await hello.wait(for: "on top of it")
    hello.signal(SIGTERM)
    #expect(try await hello.end() == -SIGTERM)
  }

  @Test("a signal at any time of its start leaves no mount behind")
  func early() async throws {
    let path = try fixture.directory("mnt")
    for delay in 0..<24 {
      let hello = try HelloProcess(fixture, at: path)
      try await Task.sleep(for: .milliseconds(delay * 2))
      hello.signal(SIGTERM)
      let end = try await hello.end()
      #expect(end == 0 || end == -SIGTERM, "\(hello.output)")
      #expect(try mountLines(below: fixture.folder).isEmpty, "after \(delay * 2) ms")
    }
  }
}
