import Foundation
import Glibc
import Testing

/// Places where something is missing that there usually is.
@Suite(.serialized, .ownThread)
struct SurroundingsTests {
  private func makeStore() throws -> (castore: Castore, tree: String) {
    let castore = Castore(try Scratch())
    let tree = castore.scratch.path + "/tree"
    try NastyTree.folder(tree)
    try NastyTree.write("one\n", to: tree + "/file")
    try NastyTree.write(NastyTree.noise(300_000, seed: 1), to: tree + "/large")
    try castore.succeed("import", tree)
    return (castore, tree)
  }

  /// What ordinary commands do: each must end as `isOrderly` has it, and at once.
  private func commands(_ castore: Castore, _ tree: String, _ number: Int) -> [[String]] {
    [
      ["ls", "tree"], ["cat", "tree/file"], ["verify"], ["nix", "hash", "tree"],
      ["import", "--name", "again\(number)", tree],
      ["export", "tree", castore.scratch.path + "/out/export\(number)"], ["nix", "dump", "tree"],
    ]
  }

  @Test("without standard descriptors nothing else takes their numbers", arguments: 0..<8)
  func closedDescriptors(_ set: Int) throws {
    let (castore, tree) = try makeStore()
    let closed = (0..<3).filter { set >> $0 & 1 == 1 }.map { "closed=\($0)" }
    let wrapper = Castore.limited(closed)
    let outcome = try castore.start(["import", "--name", "x", tree], through: wrapper).wait()
    // The root is recorded before it is printed.
    #expect(outcome.status == .exited(closed.contains("closed=1") ? 1 : 0), "\(outcome)")
    let cat = try castore.start(["cat", "tree/file"], through: wrapper).wait()
    #expect(cat.status == .exited(closed.contains("closed=1") ? 1 : 0), "\(cat)")
    let mount = try castore.scratch.makeFolder("mount")
    let process = try castore.start(["mount", mount], through: wrapper)
    try waitUntil("it is mounted") { !Scratch.mountPoints(below: mount).isEmpty }
    #expect(try readAll(mount + "/tree/file") == "one\n".bytes)
    for number in 0..<3 where closed.contains("closed=\(number)") {
      let target = try FileManager.default.destinationOfSymbolicLink(
        atPath: "/proc/\(process.pid)/fd/\(number)"
      )
      #expect(target == "/")
    }
    try process.signal(SIGTERM)
    #expect(try process.wait().status == .exited(0))
    try castore.expectWhole()
  }

  @Test(
    "without /proc commands say that they need it, and what was written on the command line counts"
  )
  func noProc() throws {
    let (castore, tree) = try makeStore()
    try NastyTree.folder(castore.scratch.path + "/out")
    let hidden: [any Word] = [
      "unshare", "-m", "--propagation", "private", "sh", "-c",
      "mount -t tmpfs none /proc && exec \"$@\"", "sh",
    ]
    // The runtime's own threads trap without it, at some time within a second.
    for words in commands(castore, tree, 0) {
      let outcome = try castore.start(words, through: hidden).wait()
      #expect(outcome.status == .exited(1), "\(words): \(outcome)")
      #expect(outcome.errors.contains("/proc") && outcome.output.isEmpty, "\(outcome)")
    }
    // One that shows other processes is no better.
    let elsewhere: [any Word] = ["unshare", "--pid", "--fork"]
    let outcome = try castore.start(["ls"], through: elsewhere).wait()
    #expect(outcome.status == .exited(1) && outcome.errors.contains("/proc"), "\(outcome)")
    #expect(try castore.roots() == ["tree"])
    let help = try castore.start(["help", "import"], through: hidden).wait()
    #expect(help.status == .exited(0) && help.text.contains("--files-from"), "\(help)")
    let usage: [any Word] = ["nosuch", [0x66, 0xFF] as [UInt8]]
    let wrong = try castore.start(usage, through: hidden).wait()
    #expect(wrong.status == .exited(64) && wrong.errors.contains("nosuch"), "\(wrong)")
  }

  @Test(
    "where threads run out, commands work or end with an error",
    arguments: Array(1...20) + [24, 32]
  )
  func fewThreads(_ count: Int) throws {
    let (castore, tree) = try makeStore()
    try NastyTree.folder(castore.scratch.path + "/out", mode: 0o777)
    try castore.scratch.succeed("chmod", "-R", "a+rwX", castore.scratch.path)
    let daemon = try Daemon(castore)
    try check(chmod(castore.scratch.path + "/s.sock", 0o777), "chmod")
    let near = commands(castore, tree, 0)
    let far = [["ls", "tree"], ["export", "tree", castore.scratch.path + "/out/far"]]
      .map { $0 + ["--store", daemon.unixURL] }
    for words in near + far {
      let user = Castore.makeUser()
      let wrapper = Castore.limited("processes=\(count)", "user=\(user)")
      let outcome = try castore.start(words, through: wrapper).wait()
      #expect(Castore.isOrderly(outcome), "\(count) threads, \(words): \(outcome)")
    }
    // Those that stay either serve or end.
    for words in [
      ["daemon", "--listen", "unix:\(castore.scratch.path)/out/d"],
      ["virtiofs", "\(castore.scratch.path)/out/v"],
    ] {
      let wrapper = Castore.limited("processes=\(count)", "user=\(Castore.makeUser())")
      let process = try castore.start(words, through: wrapper)
      try waitUntil("it serves or ends") {
        !process.isRunning || process.errors.contains(" serving ")
      }
      if process.isRunning { try process.signal(SIGTERM) }
      #expect(Castore.isOrderly(try process.wait()), "\(count) threads, \(words)")
    }
  }

  @Test(
    "where memory runs out, commands work or end with an error",
    arguments: stride(from: 64, through: 1536, by: 64).map { $0 } + [
      132, 140, 148, 2048, 4096, 100_000,
    ]
  )
  func littleMemory(_ mebibytes: Int) throws {
    let (castore, tree) = try makeStore()
    try NastyTree.folder(castore.scratch.path + "/out")
    let daemon = try Daemon(castore)
    let far = [["ls", "tree"], ["export", "tree", castore.scratch.path + "/out/far"]]
      .map { $0 + ["--store", daemon.unixURL] }
    let wrapper = Castore.limited("addresses=\(mebibytes << 20)")
    for words in commands(castore, tree, 0) + far + [["--help"]] {
      let outcome = try castore.start(words, through: wrapper).wait()
      #expect(Castore.isOrderly(outcome), "\(mebibytes) MiB, \(words): \(outcome)")
    }
  }

  @Test(
    "a call that is forbidden is done without, as one that is missing",
    arguments: ["copy_file_range", "renameat2", "statx", "sendfile", "clone3"],
    [ENOSYS, EPERM, EINVAL, EOPNOTSUPP]
  )
  func forbidden(_ call: String, _ code: CInt) throws {
    // The C library takes only ENOSYS and EPERM from clone3 for what they are.
    if call == "clone3" && code != ENOSYS && code != EPERM { return }
    let (castore, tree) = try makeStore()
    try NastyTree.folder(castore.scratch.path + "/out")
    let wrapper = Castore.limited("refuse=\(call):\(code)")
    for words in commands(castore, tree, 0) {
      let outcome = try castore.start(words, through: wrapper).wait()
      #expect(outcome.status == .exited(0), "\(words): \(outcome)")
    }
    try TreeComparison.exported().expectEqual(tree, castore.scratch.path + "/out/export0")
    // Where it would take a mount: on another file system nothing is shared either.
    let disk = try castore.scratch.makeDisk(mebibytes: 12)
    let outcome = try castore.start(["export", "tree", disk + "/copy"], through: wrapper).wait()
    #expect(outcome.status == .exited(0), "\(outcome)")
    try TreeComparison.exported().expectEqual(tree, disk + "/copy")
  }

  @Test("the limit of open files is raised, and one of a file's length is an error")
  func limits() throws {
    let (castore, _) = try makeStore()
    let mount = try castore.scratch.makeFolder("mount")
    let process = try castore.start(
      ["mount", mount],
      through: ["sh", "-c", "ulimit -Sn 64 && exec \"$@\"", "sh"]
    )
    try waitUntil("it is mounted") { !Scratch.mountPoints(below: mount).isEmpty }
    let table = String(decoding: try readAll("/proc/\(process.pid)/limits"), as: UTF8.self)
    let line = try #require(table.split(separator: "\n").first { $0.hasPrefix("Max open files") })
    let fields = line.split(separator: " ")
    let (soft, hard) = (Int(fields[3]) ?? 0, Int(fields[4]) ?? 0)
    #expect(soft == min(hard, 1 << 20), "\(line)")
    try process.signal(SIGTERM)
    _ = try process.wait()
    let length = Castore.limited("length=100000")
    let target = castore.scratch.path + "/out"
    let outcome = try castore.start(["export", "tree", target], through: length).wait()
    #expect(outcome.status == .exited(1), "\(outcome)")
    #expect(outcome.errors.contains("File too large"), "\(outcome)")
    #expect(access(target, F_OK) == -1)
  }
}
