import Foundation
import Glibc
import Testing

/// How services end by signals: nothing of them is left.
@Suite(.serialized, .ownThread)
struct SignalTests {
  /// Those that a service ends well by.
  private static let requests = [SIGHUP, SIGINT, SIGTERM]
  /// Others that end a process by default, some that stand for faults among them.
  private static let others = [
    SIGQUIT, SIGABRT, SIGALRM, SIGBUS, SIGFPE, SIGILL, SIGPROF, SIGPWR, SIGSEGV, SIGSTKFLT, SIGSYS,
    SIGTRAP, SIGUSR2, SIGVTALRM, SIGXCPU, SIGPOLL, 34, 50, 64,
  ]

  private static func end(of signal: CInt) -> ExitStatus {
    requests.contains(signal) ? .exited(0) : .killed(signal)
  }

  @Test("no signal but SIGKILL leaves a dead mount", arguments: requests + others)
  func mount(_ signal: CInt) throws {
    let (castore, _) = try SampleStore.make(entries: 1)
    let mount = try MountedStore(castore)
    #expect(try readAll(mount.path + "/tree/a/a") == "only in a".bytes)
    try mount.process.signal(signal)
    let outcome = try mount.process.wait()
    #expect(outcome.status == Self.end(of: signal), "\(outcome)")
    #expect(!mount.isMounted)
  }

  @Test("a mount in use is taken away by them, too", arguments: [SIGQUIT, SIGSEGV, SIGUSR2])
  func busyMount(_ signal: CInt) throws {
    let (castore, _) = try SampleStore.make(entries: 1)
    let mount = try MountedStore(castore)
    let file = try check(open(mount.path + "/tree/large", O_RDONLY | O_CLOEXEC), "open")
    defer { close(file) }
    try mount.process.signal(signal)
    #expect(try mount.process.wait().status == .killed(signal))
    #expect(!mount.isMounted)
  }

  @Test("no signal but SIGKILL leaves the socket of a daemon", arguments: requests + others)
  func daemon(_ signal: CInt) throws {
    let (castore, _) = try SampleStore.make(entries: 1)
    let daemon = try Daemon(castore)
    try daemon.process.signal(signal)
    let outcome = try daemon.process.wait()
    #expect(outcome.status == Self.end(of: signal), "\(outcome)")
    #expect(access(castore.scratch.path + "/s.sock", F_OK) == -1)
  }

  @Test(
    "no signal but SIGKILL leaves the socket of a virtiofs server",
    arguments: requests + others
  )
  func virtiofs(_ signal: CInt) throws {
    let (castore, _) = try SampleStore.make(entries: 1)
    let server = try GuestTests.Server(castore)
    try server.process.signal(signal)
    let outcome = try server.process.wait()
    #expect(outcome.status == Self.end(of: signal), "\(outcome)")
    #expect(access(server.socket, F_OK) == -1)
  }

  @Test(
    "a hang-up that was ignored at the start stays so",
    arguments: ["mount", "daemon", "virtiofs"]
  )
  func noHangUp(_ kind: String) throws {
    let (castore, _) = try SampleStore.make(entries: 1)
    let folder = try castore.scratch.makeFolder()
    let words = [
      "mount": ["mount", folder], "daemon": ["daemon", "--listen", "unix:\(folder)/s"],
      "virtiofs": ["virtiofs", folder + "/s"],
    ]
    let process = try castore.start(
      words[kind] ?? [],
      through: Castore.limited("ignore=\(SIGHUP)")
    )
    try waitUntil("it is there") {
      process.errors.contains(" mounted ") || process.errors.contains(" serving ")
    }
    try process.signal(SIGHUP)
    let before = process.errors
    // Signals of one process come in order of their numbers or of time: when this is answered, that was taken.
    try process.signal(SIGUSR1)
    try waitUntil("it reports") { process.errors.count > before.count }
    #expect(process.isRunning)
    try process.signal(SIGTERM)
    #expect(try process.wait().status == .exited(0))
  }

  @Test(
    "a second signal ends a daemon whose calls do not end",
    arguments: [SIGTERM, SIGINT, SIGQUIT]
  )
  func second(_ signal: CInt) throws {
    let (castore, _) = try SampleStore.make(entries: 1)
    let daemon = try Daemon(castore, "--shutdown-timeout", "100000")
    // A connection that says nothing is waited for.
    let client = try castore.start([
      "mount", "--store", daemon.unixURL, castore.scratch.makeFolder(),
    ])
    try waitUntil("it is connected") { client.errors.contains(" mounted ") }
    try daemon.process.signal(SIGTERM)
    try waitUntil("it shuts down") { daemon.process.errors.contains("shutting down") }
    if daemon.process.isRunning {
      try daemon.process.signal(signal)
      let status = try daemon.process.wait().status
      // The client may be quicker.
      #expect(status == .killed(signal) || status == .exited(0), "\(status)")
    }
    #expect(access(castore.scratch.path + "/s.sock", F_OK) == -1)
    try client.signal(SIGTERM)
    _ = try client.wait()
  }

  @Test(
    "work that is broken off by any signal leaves nothing behind",
    arguments: [SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM]
  )
  func brokenOff(_ signal: CInt) throws {
    let castore = Castore(try Scratch())
    let tree = try castore.scratch.makeFolder("tree")
    let file = try check(open(tree + "/endless", O_RDWR | O_CREAT | O_CLOEXEC, 0o644), "open")
    defer { close(file) }
    try check(ftruncate(file, 1 << 40), "ftruncate")
    let process = try castore.start(["import", tree])
    try waitUntil("it has begun to store") {
      let folder = castore.storePath + "/tmp"
      guard (try? listNames(folder).isEmpty) == false else { return false }
      return try !castore.scratch.run("find", folder, "-type", "f").lines.isEmpty
    }
    try process.signal(signal)
    let outcome = try process.wait()
    let status = outcome.status
    #expect(status == (signal == SIGHUP ? .exited(1) : .killed(signal)), "\(outcome)")
    #expect(outcome.errors.contains("cancelled"), "\(outcome)")
    #expect(try castore.roots().isEmpty)
    try castore.expectWhole()
  }

  @Test(
    "in a script a mount in the background ends with kill, and the script goes on",
    arguments: ["bash", "dash"]
  )
  func script(_ shell: String) throws {
    let (castore, _) = try SampleStore.make(entries: 1)
    let mount = try castore.scratch.makeFolder("mount")
    // Without job control dash knows no %1.
    for job in shell == "bash" ? ["%1", "$!"] : ["$!"] {
      let script = """
        "$1" mount "$2" &
        until mountpoint -q "$2"; do sleep 0.05; done
        cat "$2/tree/a/a"
        kill \(job)
        wait
        echo " and on"
        """
      let outcome = try Child(
        [shell, "-c", script, shell, Castore.binary, mount],
        scratch: castore.scratch,
        environment: ["CASTORE_STORE": castore.storePath]
      ).wait()
      #expect(outcome.status == .exited(0), "\(outcome)")
      #expect(outcome.text == "only in a and on\n", "\(outcome)")
      #expect(Scratch.mountPoints(below: mount).isEmpty)
    }
  }
}
