import Foundation
import Glibc
import Synchronization
import Testing

/// What people expect of `castore import`.
@Suite(.serialized, .ownThread)
struct ImportTests {
  /// A few files, small and large.
  private func makeTree(_ scratch: Scratch, _ name: String = "tree") throws -> String {
    let tree = "\(scratch.path)/\(name)"
    try NastyTree.folder(tree)
    try NastyTree.folder(tree / "sub")
    for number in 0..<40 { try NastyTree.write("file \(number)", to: tree / "sub" / "\(number)") }
    try NastyTree.write(NastyTree.noise(200_000, seed: 1), to: tree / "large")
    return tree
  }

  @Test("the same tree again stores nothing new")
  func again() throws {
    let castore = Castore(try Scratch())
    let tree = try makeTree(castore.scratch)
    let first = try castore.succeed("import", tree)
    let (files, room) = (try castore.blobFiles(), try castore.diskUsage())
    let second = try castore.succeed("import", tree)
    #expect(first.output == second.output)
    // Under another name, too, and with a folder touched.
    try castore.scratch.succeed("touch", tree + "/large", tree + "/sub")
    try castore.succeed("import", "--name", "other", tree)
    #expect(try castore.blobFiles() == files)
    #expect(try castore.diskUsage() <= room + 64 << 10)
    #expect(try castore.roots() == ["other", "tree"])
  }

  @Test("a blob whose file was cut short or lost is stored again by the next import")
  func repairs() throws {
    let castore = Castore(try Scratch())
    let tree = castore.scratch.path + "/tree"
    try NastyTree.folder(tree)
    // The last is longer than what is imported from memory.
    for (number, size) in [100_000, 300_000, 9_000_000].enumerated() {
      try NastyTree.write(NastyTree.noise(size, seed: UInt64(number)), to: tree / "\(number)")
    }
    try castore.succeed("import", tree)
    let blobs = castore.storePath + "/blobs"
    for damage in [["truncate", "-s", "50"], ["rm", "-f"]] {
      let words = damage.joined(separator: " ")
      try castore.scratch.succeed("sh", "-c", "find '\(blobs)' -type f -exec \(words) {} +")
      #expect(try castore.run("verify").status == .exited(1))
      try castore.succeed("import", tree)
      try castore.succeed("verify")
    }
  }

  @Test("the store that lies in the tree is left out of it")
  func storeInTree() throws {
    let castore = Castore(try Scratch())
    let tree = try makeTree(castore.scratch)
    let inside = "local:\(tree)/sub/store"
    for _ in 0..<2 {
      let result = try castore.succeed("import", "--store", inside, tree)
      #expect(result.errors.contains("\(tree)/sub/store: the store itself"))
    }
    let names = try castore.succeed("ls", "--store", inside, "tree/sub").text
    #expect(!names.contains("store"))
  }

  @Test("a name that stands for something else is kept, unless it shall be replaced")
  func conflict() throws {
    let castore = Castore(try Scratch())
    let tree = try makeTree(castore.scratch)
    let first = try castore.succeed("import", tree).text
    try NastyTree.write("new", to: tree / "new")
    try castore.fail("import", tree, saying: ["tree", "already", "--replace"])
    #expect(try castore.succeed("roots").text == first)
    let replaced = try castore.succeed("import", "--replace", tree).text
    #expect(replaced != first)
    #expect(try castore.succeed("roots").text == replaced)
    try castore.succeed("import", tree)
  }

  @Test("a fifo or socket is an error that names it, or skipped with a warning")
  func special() throws {
    let castore = Castore(try Scratch())
    let tree = try makeTree(castore.scratch)
    let fifo = tree + "/sub/a fifo"
    try check(mkfifo(fifo, 0o644), "mkfifo")
    try castore.fail("import", tree, saying: [fifo, "fifo", "skipped"])
    #expect(try castore.roots().isEmpty)
    let socket = tree + "/a socket"
    try makeSocket(socket)
    let outcome = try castore.succeed("import", "--skip-special", tree)
    #expect(outcome.errors.contains(fifo) && outcome.errors.contains(socket))
    #expect(outcome.errors.split(separator: "\n").count == 2)
    let names = try castore.succeed("tree", "tree").text
    #expect(!names.contains("fifo") && !names.contains("socket") && names.contains("large"))
    try castore.fail("import", fifo, saying: [fifo])
    try castore.fail("import", "/dev/null", saying: ["/dev/null", "device"])
  }

  private func makeSocket(_ path: String) throws {
    let number = try check(socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0), "socket")
    defer { close(number) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    try withUnsafePointer(to: &address) {
      try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        _ = try check(bind(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size)), "bind")
      }
    }
  }

  /// Root without its right to read everything: what an ordinary user meets with files of their own.
  private let ordinary: [any Word] = [
    "setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps",
    "-dac_override,-dac_read_search", "--",
  ]

  @Test("a file or folder that may not be read is an error that names it, and nothing is recorded")
  func unreadable() throws {
    let castore = Castore(try Scratch())
    let tree = try makeTree(castore.scratch)
    try NastyTree.write("secret", to: tree / "sub" / "secret", mode: 0)
    var outcome = try castore.start(["import", tree], through: ordinary).wait()
    #expect(outcome.status == .exited(1))
    #expect(outcome.errors.contains("\(tree)/sub/secret: Permission denied"), "\(outcome)")
    #expect(try castore.roots().isEmpty)
    try check(unlink(tree + "/sub/secret"), "unlink")
    try check(chmod(tree + "/sub", 0), "chmod")
    outcome = try castore.start(["import", tree], through: ordinary).wait()
    #expect(outcome.status == .exited(1))
    #expect(outcome.errors.contains("\(tree)/sub: Permission denied"), "\(outcome)")
    #expect(try castore.roots().isEmpty)
    try castore.expectWhole()
  }

  @Test("a store that may not be written is an error that names it")
  func unwritableStore() throws {
    let castore = Castore(try Scratch())
    let tree = try makeTree(castore.scratch)
    try check(mkdir(castore.storePath, 0o555), "mkdir")
    let outcome = try castore.start(["import", tree], through: ordinary).wait()
    #expect(outcome.status == .exited(1))
    #expect(outcome.errors.contains(castore.storePath), "\(outcome)")
  }

  @Test("a file that changes while it is read is refused")
  func changing() throws {
    let castore = Castore(try Scratch())
    let tree = try makeTree(castore.scratch)
    let path = tree + "/log"
    let file = try check(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644), "open")
    defer { close(file) }
    try check(ftruncate(file, 200 << 20), "ftruncate")
    let process = try castore.start(["import", tree])
    var number = 0
    while process.isRunning {
      number += 1
      try check(pwrite(file, "x", 1, off_t(number * 7919 % (200 << 20))), "pwrite")
    }
    let outcome = try process.wait()
    #expect(outcome.status == .exited(1))
    #expect(outcome.errors.contains("\(path) changed while it was read"), "\(outcome)")
    #expect(try castore.roots().isEmpty)
    try castore.succeed("import", tree)
    try castore.expectWhole()
  }

  @Test("a single file and a link are roots like any other")
  func single() throws {
    let castore = Castore(try Scratch())
    let folder = try castore.scratch.makeFolder()
    try NastyTree.write("#!/bin/sh\necho ran\n", to: folder / "script", mode: 0o700)
    try NastyTree.write("", to: folder / "empty")
    try NastyTree.link(folder / "link", to: "no/such/file")
    let outcome = try castore.succeed(
      "import",
      folder / "script",
      folder / "empty",
      folder / "link"
    )
    #expect(outcome.lines.map { $0.split(separator: "\t")[0] } == ["script", "empty", "link"])
    let mount = try MountedStore(castore)
    #expect(try castore.scratch.succeed(mount.path + "/script").text == "ran\n")
    #expect(try readAll(mount.path + "/empty").isEmpty)
    #expect(
      try FileManager.default.destinationOfSymbolicLink(atPath: mount.path + "/link")
        == "no/such/file"
    )
    for name in ["script", "empty", "link"] {
      let copy = castore.scratch.newName("copy")
      try castore.succeed("export", name, copy)
      try TreeComparison.exported().expectEqual(folder / name, copy)
    }
  }

  @Test("two imports of overlapping trees at once both succeed")
  func together() throws {
    let castore = Castore(try Scratch())
    let tree = try makeTree(castore.scratch)
    for number in 0..<1000 {
      let contents = NastyTree.noise(number % 50 == 0 ? 100_000 : 300, seed: UInt64(number % 800))
      try NastyTree.write(contents, to: tree / "sub" / "n\(number)")
    }
    // One starts when there is no store yet, the others meet it half made.
    let processes = try ["one", "two", "three"].map {
      try castore.start(["import", "--name", $0, $0 == "two" ? tree + "/sub" : tree])
    }
    for process in processes {
      let outcome = try process.wait()
      #expect(outcome.status == .exited(0), "\(outcome)")
    }
    for (name, source) in [("one", tree), ("two", tree + "/sub"), ("three", tree)] {
      let copy = castore.scratch.newName("copy")
      try castore.succeed("export", name, copy)
      try TreeComparison.exported().expectEqual(source, copy)
    }
  }

  @Test(
    "SIGINT and SIGTERM stop it: nothing is recorded, the store is whole",
    arguments: [SIGINT, SIGTERM]
  )
  func interrupted(_ signal: CInt) throws {
    let castore = Castore(try Scratch())
    let tree = try makeTree(castore.scratch)
    try check(truncate(makeFile(tree + "/endless"), 1 << 40), "truncate")
    let process = try castore.start(["import", tree])
    try waitUntil("it has begun to store") {
      let folder = castore.storePath + "/tmp"
      guard let names = try? listNames(folder) else { return false }
      return try names.count > 2 && !castore.scratch.run("find", folder, "-type", "f").lines.isEmpty
    }
    #expect(process.isRunning)
    try process.signal(signal)
    let outcome = try process.wait()
    #expect(outcome.status == .exited(1), "\(outcome)")
    #expect(outcome.errors.contains("cancelled"), "\(outcome)")
    #expect(outcome.output.isEmpty)
    #expect(try castore.roots().isEmpty)
    try castore.expectWhole()
  }

  private func makeFile(_ path: String) throws -> String {
    try NastyTree.write("", to: path)
    return path
  }

  @Test(
    "a full disk is an error that names what could not be written",
    arguments: [2000, 1_000_000]
  )
  func diskFull(_ size: Int) throws {
    let scratch = try Scratch()
    let disk = try scratch.makeDisk(mebibytes: 12)
    let castore = Castore(scratch, store: disk + "/store")
    try castore.succeed("import", "--name", "before", try makeTree(scratch))
    let large = try scratch.makeFolder("large")
    for number in 0..<(24_000_000 / size) {
      try NastyTree.write(NastyTree.noise(size, seed: UInt64(number)), to: large / "\(number)")
    }
    try castore.fail("import", large, saying: [castore.storePath, "No space left on device"])
    #expect(try castore.roots() == ["before"])
    let copy = scratch.newName("copy")
    try castore.succeed("export", "before", copy)
    // With more room, the very same goes on as if nothing had been.
    try scratch.succeed("mount", "-o", "remount,size=96m", disk)
    try castore.succeed("import", large)
    try castore.expectWhole()
  }

  @Test("the name is that of the folder, however it is written")
  func defaultNames() throws {
    let castore = Castore(try Scratch())
    let tree = try makeTree(castore.scratch)
    func name(_ path: String, in folder: String? = nil) throws -> String? {
      try castore.succeed("import", path, folder: folder).text.split(separator: "\t").first
        .map(String.init)
    }
    #expect(try name(".", in: tree) == "tree")
    #expect(try name("./", in: tree) == "tree")
    #expect(try name("..", in: tree + "/sub") == "tree")
    #expect(try name(tree + "/") == "tree")
    #expect(try name(tree + "//./") == "tree")
    #expect(try name("sub", in: tree) == "sub")
    #expect(try name("./sub/", in: tree) == "sub")
    #expect(try castore.roots() == ["sub", "tree"])
    try castore.fail("import", "/", saying: ["--name"], status: 64)
    try castore.fail("import", tree, tree + "/../tree", saying: ["tree"], status: 64)
    try castore.fail("import", "--name", "x", tree, tree + "/sub", saying: ["--name"], status: 64)
    for bad in ["", "a/b", ".", ".."] {
      try castore.fail("import", "--name", bad, tree, saying: ["name"], status: 64)
    }
    try castore.fail("import", saying: ["path"], status: 64)
    try castore.fail("import", tree + "/nothing", saying: [tree + "/nothing", "No such file"])
    try castore.fail("import", "", saying: ["\"\""])
  }

  @Test("names that are not UTF-8 or begin with a dash work on the command line")
  func bytesAsNames() throws {
    let castore = Castore(try Scratch())
    let folder = try castore.scratch.makeFolder()
    let names: [[UInt8]] = [
      [0xFF, 0xFE], [0x63, 0x61, 0x66, 0xE9], "new\nline".bytes, "-rf".bytes, " ".bytes,
      "\u{10FF80}".bytes, [0xF4, 0x8F, 0xBE],
    ]
    for (index, name) in names.enumerated() {
      try NastyTree.folder(folder / name)
      try NastyTree.write("\(index)", to: folder / name / name)
      try castore.succeed("import", "--", name, folder: folder)
      #expect(try castore.succeed("cat", "--", name / name).text == "\(index)")
      let copy = folder / (name + ".copy".bytes)
      try castore.succeed("export", "--", name, copy)
      try TreeComparison.exported().expectEqual(folder / name, copy)
    }
    let listed = try castore.succeed("ls", "-0").output.split(separator: 0).map { [UInt8]($0) }
    #expect(listed == names.sorted { $0.lexicographicallyPrecedes($1) })
    for name in names { try castore.succeed("roots", "remove", "--", name) }
    #expect(try castore.roots().isEmpty)
  }

  @Test("--json prints what was stored, also under names that are not UTF-8")
  func json() throws {
    let castore = Castore(try Scratch())
    let folder = try castore.scratch.makeFolder()
    try NastyTree.write("hello", to: folder / [0x61, 0xFF], mode: 0o755)
    try NastyTree.link(folder / "link \"quoted\"\n", to: [0xFE])
    let outcome = try castore.succeed(
      "import",
      "--json",
      folder / [0x61, 0xFF],
      folder / "link \"quoted\"\n"
    )
    let parsed = try #require(try objects(outcome))
    #expect(parsed.count == 2)
    #expect(parsed[0]["nameHex"] as? String == "61ff")
    #expect(parsed[0]["type"] as? String == "file")
    #expect(parsed[0]["size"] as? Int == 5)
    #expect(parsed[0]["executable"] as? Bool == true)
    #expect((parsed[0]["digest"] as? String)?.hasPrefix("b3:") == true)
    #expect(parsed[1]["name"] as? String == "link \"quoted\"\n")
    #expect(parsed[1]["targetHex"] as? String == "fe")
  }
}

/// The output as an array of JSON objects.
func objects(_ outcome: Outcome) throws -> [[String: Any]]? {
  try JSONSerialization.jsonObject(with: Data(outcome.output)) as? [[String: Any]]
}
