import Foundation
import Glibc
import Testing

/// What people expect of `castore export`.
@Suite(.serialized, .ownThread)
struct ExportTests {
  private func makeStore(files: Int = 20, bytes: Int = 40) throws -> Castore {
    let castore = Castore(try Scratch())
    let tree = castore.scratch.path + "/tree"
    try NastyTree.folder(tree)
    try NastyTree.folder(tree / "sub")
    for number in 0..<files {
      let contents = NastyTree.noise(bytes, seed: UInt64(number))
      try NastyTree.write(contents, to: tree / "sub" / "\(number)")
    }
    try castore.succeed("import", tree)
    return castore
  }

  @Test("it writes over nothing")
  func existing() throws {
    let castore = try makeStore()
    let folder = try castore.scratch.makeFolder()
    try NastyTree.folder(folder / "folder")
    try NastyTree.write("mine", to: folder / "file")
    try NastyTree.link(folder / "dangling", to: "nowhere")
    try NastyTree.link(folder / "link", to: "folder")
    let before = try castore.scratch.succeed("ls", "-lR", "--time-style=full-iso", folder).text
    for name in ["folder", "file", "dangling", "link", "folder/", "folder/.", "."] {
      try castore.fail("export", "tree", "\(folder)/\(name)", saying: [folder])
    }
    try castore.fail("export", "tree", "/", saying: ["/"])
    try castore.fail("export", "tree", "", saying: ["\"\""])
    let after = try castore.scratch.succeed("ls", "-lR", "--time-style=full-iso", folder).text
    #expect(before == after)
  }

  @Test("a parent that is missing or a file is an error that names the destination")
  func parents() throws {
    let castore = try makeStore()
    let folder = try castore.scratch.makeFolder()
    try NastyTree.write("mine", to: folder / "file")
    for path in ["no/such/place", "file/place"] {
      try castore.fail("export", "tree", "\(folder)/\(path)", saying: ["\(folder)/\(path)"])
    }
    try castore.fail("export", "nothing", folder + "/new", saying: ["nothing"])
    try castore.fail("export", "tree/sub/nothing", folder + "/new", saying: ["tree/sub/nothing"])
    #expect(try listNames(folder).count == 3)
  }

  @Test("parts of a tree can be exported, to relative paths, too")
  func parts() throws {
    let castore = try makeStore()
    let folder = try castore.scratch.makeFolder()
    let tree = castore.scratch.path + "/tree"
    try castore.succeed("export", "tree/sub/7", "seven", folder: folder)
    try TreeComparison.exported().expectEqual(tree + "/sub/7", folder + "/seven")
    let outcome = try castore.succeed("export", "--json", "tree/sub/", "sub/", folder: folder)
    try TreeComparison.exported().expectEqual(tree + "/sub", folder + "/sub")
    let object =
      try JSONSerialization.jsonObject(with: Data(outcome.output)) as? [String: Any]
    #expect(object?["files"] as? Int == 20)
    #expect(object?["bytes"] as? Int == 800)
    #expect(object?["directories"] as? Int == 1)
  }

  @Test("a full disk leaves nothing behind", arguments: [(2, 8_000_000), (3000, 2000)])
  func diskFull(_ files: Int, _ bytes: Int) throws {
    let castore = try makeStore(files: files, bytes: bytes)
    let disk = try castore.scratch.makeDisk(mebibytes: 4)
    try castore.fail("export", "tree", disk + "/copy", saying: [disk, "No space left on device"])
    #expect(try listNames(disk).count == 2)
    try castore.expectWhole()
  }

  @Test("SIGINT and SIGTERM stop it, and nothing is left", arguments: [SIGINT, SIGTERM])
  func interrupted(_ signal: CInt) throws {
    let castore = try makeStore(files: 20_000, bytes: 20)
    let folder = try castore.scratch.makeFolder()
    let process = try castore.start(["export", "tree", folder + "/copy"])
    try waitUntil("it has begun") { try listNames(folder).count > 2 }
    try process.signal(signal)
    let outcome = try process.wait()
    #expect(outcome.status == .exited(1), "\(outcome)")
    #expect(outcome.errors.contains("cancelled"), "\(outcome)")
    #expect(try listNames(folder).count == 2)
  }
}
