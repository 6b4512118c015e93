import Castore
import CastoreStorage
import CastoreTestSupport
import Foundation
import Testing

@Suite("A store that processes die in", .serialized)
struct CrashTests {
  let folder: TestFolder

  init() throws { folder = try TestFolder() }

  @Test("whenever an import is killed, the store is whole and takes the same import again")
  func killed() throws {
    let (path, tree) = (folder.sub("s"), folder.sub("tree"))
    try makeTree(at: tree, files: 700, large: 12)
    let torture = try Shell.built("store-torture")
    // How long an import takes, to kill at moments all over it; it creates the store, too.
    let begin = DispatchTime.now()
    let expected = try Shell.run(torture, ["import", folder.sub("whole"), tree, "t"])
    #expect(expected.code == 0, "\(expected.output)")
    var whole = Double(DispatchTime.now().uptimeNanoseconds - begin.uptimeNanoseconds) / 1e9

    var (killed, round) = (0, 0)
    while killed < 50 && round < 400 {
      round += 1
      let delay = whole * Double(round % 29 + 1) / 28
      let code = try runAndKill(torture, ["import", path, tree, "t\(round % 3)"], after: delay)
      if code == 128 + SIGKILL { killed += 1 }
      // Done before it could be killed: imports have become faster since the first.
      if code == 0 { whole *= 0.9 }
      // From an empty store every few rounds: the next imports have something left to write.
      if round % 5 == 0 || code == 0 {
        try check(path)
        try FileManager.default.removeItem(atPath: path)
      } else if round % 2 == 0 {
        try check(path)
      }
    }
    #expect(killed >= 50)
    let again = try Shell.run(torture, ["import", path, tree, "t"])
    #expect(again.output == expected.output)
    try check(path)
    #expect(try FileManager.default.contentsOfDirectory(atPath: "\(path)/tmp").isEmpty)
  }

  private func check(_ path: String) throws {
    guard FileManager.default.fileExists(atPath: "\(path)/format") else { return }
    let store = try LocalStore(path: path)
    #expect(try store.problems() == [])
    #expect(try FileManager.default.contentsOfDirectory(atPath: "\(path)/tmp").isEmpty)
  }

  private func runAndKill(
    _ program: String,
    _ arguments: [String],
    after seconds: Double
  ) throws -> Int32 {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    usleep(UInt32(seconds * 1e6))
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    let code = process.terminationStatus
    return process.terminationReason == .exit ? code : 128 + code
  }

  @Test("several processes import at once, while this one reads")
  func together() throws {
    let (path, tree, other) = (folder.sub("s"), folder.sub("tree"), folder.sub("other"))
    try makeTree(at: tree, files: 400, large: 4)
    try makeTree(at: other, files: 400, large: 4, seed: 2)
    let torture = try Shell.built("store-torture")
    let outcome = try Shell.script(
      """
      for n in 1 2; do
        "$1" import "$2" "$3" a$n & pids="${pids-} $!"
        "$1" import "$2" "$4" b$n & pids="$pids $!"
      done
      for p in $pids; do wait $p; done
      """,
      torture,
      path,
      tree,
      other
    )
    #expect(outcome.code == 0, "\(outcome.output)")
    let store = try LocalStore(path: path)
    #expect(try store.problems() == [])
    #expect(try store.nodeLocal(named: "a1") == store.nodeLocal(named: "a2"))
    #expect(try store.statistics().roots == 4)
  }

  @Test("a live writer's files are not swept, a dead one's are")
  func sweeping() throws {
    let path = folder.sub("s")
    let store = try LocalStore(path: path, create: true)
    let writer = try store.makeWriter()
    _ = try noise(2_000_000, seed: 1).withUnsafeBytes { try writer.putBlob($0) }
    let dead = "\(path)/tmp/00000000000000aa"
    try FileManager.default.createDirectory(atPath: dead, withIntermediateDirectories: false)
    try Data([1]).write(to: URL(fileURLWithPath: "\(dead)/0"))
    // Another process: locks of this one would not tell.
    #expect(try Shell.run(Shell.built("store-torture"), ["open", path]).code == 0)
    #expect(try FileManager.default.contentsOfDirectory(atPath: "\(path)/tmp").count == 1)
    #expect(!FileManager.default.fileExists(atPath: dead))
    try writer.flush()
    #expect(try store.problems() == [])
    #expect(try store.statistics().blobs == 1)
  }

  @Test("a full disk is an error that names the path, and leaves the store whole")
  func diskFull() throws {
    let mount = folder.sub("small")
    try FileManager.default.createDirectory(atPath: mount, withIntermediateDirectories: false)
    let mounted = try Shell.run("/bin/mount", ["-t", "tmpfs", "-o", "size=8m", "none", mount])
    #expect(mounted.code == 0, "\(mounted.output)")
    defer { _ = try? Shell.run("/bin/umount", ["-l", mount]) }

    let path = "\(mount)/s"
    let (small, files, inline) = (folder.sub("a"), folder.sub("b"), folder.sub("c"))
    try makeTree(at: small, files: 30, large: 1)
    try makeTree(at: files, files: 3, large: 60, seed: 2)
    try makeTree(at: inline, files: 2500, large: 0, seed: 3)
    do {
      let store = try LocalStore(path: path, create: true)
      try store.importTree(small, as: "a")
      let failures = [files, inline].map { tree in
        serviceError { try store.importTree(tree, as: "b") }
      }
      for failure in failures {
        #expect(failure?.code == .outOfSpace)
        #expect(failure?.message.contains(path) == true, "\(String(describing: failure))")
      }
      #expect(try store.nodeLocal(named: "b") == nil)
      #expect(try store.problems() == [])
    }
    let store = try LocalStore(path: path)
    #expect(try store.problems() == [])
    #expect(try store.nodeLocal(named: "a") != nil)
    // With room again the same import goes through.
    let larger = try Shell.run("/bin/mount", ["-o", "remount,size=64m", mount])
    #expect(larger.code == 0)
    try store.importTree(files, as: "b")
    #expect(try store.problems() == [])
  }

  @Test("without permission a store is refused or read-only, and says so")
  func permissions() throws {
    let folder = try TestFolder(open: true)
    let (path, tree) = (folder.sub("s"), folder.sub("tree"))
    try makeTree(at: tree, files: 20, large: 1)
    let torture = "\(folder.path)/torture"
    try FileManager.default.copyItem(atPath: Shell.built("store-torture"), toPath: torture)
    let store = try LocalStore(path: path, create: true)
    try store.importTree(tree, as: "a")

    // Everybody may read, nobody but root may write.
    _ = try Shell.script("chmod -R a+rX \"$1\" \"$2\"", path, tree)
    let reading = try Shell.run(torture, ["as=65534", "open", path])
    #expect(reading.output == "read-only\na\n")
    let verified = try Shell.run(torture, ["as=65534", "verify", path])
    #expect(verified.code == 0, "\(verified.output)")
    let writing = try Shell.run(torture, ["as=65534", "import", path, tree, "b"])
    #expect(writing.output.hasPrefix("permissionDenied"))
    #expect(writing.output.contains(path))

    // Nobody but root may do anything.
    chmod(path, 0o700)
    let refused = try Shell.run(torture, ["as=65534", "open", path])
    #expect(refused.output.hasPrefix("permissionDenied"))
    #expect(refused.output.contains(path))
    let creating = try Shell.run(torture, ["as=65534", "import", folder.sub("new"), tree, "b"])
    #expect(creating.output.hasPrefix("permissionDenied"))
    #expect(try store.problems() == [])
  }

  @Test("on a medium that cannot be written a store is read-only")
  func readOnlyMedium() throws {
    let mount = folder.sub("medium")
    try FileManager.default.createDirectory(atPath: mount, withIntermediateDirectories: false)
    #expect(try Shell.run("/bin/mount", ["-t", "tmpfs", "none", mount]).code == 0)
    defer { _ = try? Shell.run("/bin/umount", ["-l", mount]) }
    let digest = try LocalStore(path: "\(mount)/s", create: true).put([1, 2])
    #expect(try Shell.run("/bin/mount", ["-o", "remount,ro", mount]).code == 0)
    let store = try LocalStore(path: "\(mount)/s")
    #expect(store.isReadOnly)
    #expect(try store.read(digest, count: 5) == [1, 2])
    #expect(serviceError { _ = try store.put([3]) }?.code == .permissionDenied)
  }
}
