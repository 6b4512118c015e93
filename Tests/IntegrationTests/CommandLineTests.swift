import Foundation
import Glibc
import Testing

/// What may stand on the command line.
@Suite(.ownThread)
struct CommandLineTests {
  private func makeFiles(_ count: Int, _ scratch: Scratch) throws -> [String] {
    let folder = try scratch.makeFolder("files")
    return try (0..<count).map { number in
      try NastyTree.write("\(number)", to: folder + "/f\(number)")
      return folder + "/f\(number)"
    }
  }

  @Test("each of many paths is imported without waiting for anything but the store")
  func manyPaths() throws {
    // With a tenth of a second for each, this does not end within the two minutes that a process is given.
    let castore = Castore(try Scratch())
    let paths = try makeFiles(1500, castore.scratch)
    let outcome = try castore.start(["import"] + paths).wait()
    #expect(outcome.status == .exited(0), "\(outcome)")
    #expect(outcome.lines.count == 1500)
    #expect(try castore.roots().count == 1500)
  }

  @Test("a hundred thousand arguments are read at once, whatever the command")
  func manyArguments() throws {
    let castore = Castore(try Scratch())
    let file = try makeFiles(1, castore.scratch)[0]
    try castore.succeed("import", file)
    let missing = (0..<100_000).map { "n\($0)" }
    let outcome = try castore.start(["import"] + missing, folder: castore.scratch.path).wait()
    #expect(outcome.status == .exited(1), "\(outcome.status)")
    #expect(outcome.errors.hasPrefix("Error: cannot look at n0: No such file"), "\(outcome.errors)")
    for words in [["cat"], ["nix", "hash"], ["copy", "--to", "memory:"]] {
      let outcome = try castore.start(words + missing).wait()
      #expect(outcome.status == .exited(1), "\(outcome.status)")
      #expect(outcome.errors.contains("n0"), "\(outcome.errors.prefix(300))")
    }
    #expect(try castore.start(["roots", "remove"] + missing).wait().errors.contains("'n0'"))
  }

  @Test("long rows of arguments lose nothing, also between options and behind --")
  func rowsOfArguments() throws {
    let castore = Castore(try Scratch())
    let folder = try castore.scratch.makeFolder()
    for name in ["x", "-y"] { try NastyTree.write(name, to: folder + "/" + name) }
    try castore.succeed("import", "--json", "x", "--", "-y", folder: folder)
    let xs = Array(repeating: "x", count: 700)
    let ys = Array(repeating: "-y", count: 700)
    let store = "local:" + castore.storePath
    let outcome = try castore.start(["cat"] + xs + ["--store", store] + xs + ["--"] + ys).wait()
    #expect(outcome.text == String(repeating: "x", count: 1400) + ys.joined(), "\(outcome)")
    let many = try castore.start(["export"] + xs).wait()
    #expect(many.status == .exited(64), "\(many)")
  }

  @Test("--files-from and - read paths from files, ended by newlines or NUL")
  func filesFrom() throws {
    let castore = Castore(try Scratch())
    let folder = try castore.scratch.makeFolder()
    for name in ["one", "two", "with\nnewline", "last"] {
      try NastyTree.write(name, to: folder + "/" + name)
    }
    try NastyTree.write("one\ntwo", to: folder + "/lines")
    try NastyTree.write("with\nnewline\0last\0", to: folder + "/nuls")
    try castore.succeed("import", "--files-from", "lines", folder: folder)
    #expect(try castore.roots() == ["one", "two"])
    let words = ["sh", "-c", "\"$0\" import - <nuls", Castore.binary]
    let outcome = try Child(
      words,
      scratch: castore.scratch,
      environment: ["CASTORE_STORE": castore.storePath],
      folder: folder
    ).wait()
    #expect(outcome.status == .exited(0), "\(outcome)")
    #expect(try castore.succeed("ls", "-0").output.split(separator: 0).count == 4)
    try castore.fail("import", "--files-from", "none", saying: ["none"], folder: folder)
    let twice = ["import", "--files-from", "-", "-"]
    #expect(try castore.start(twice).wait().status == .exited(64))
    let named = ["import", "--name", "x", "--files-from", "lines"]
    #expect(try castore.start(named, folder: folder).wait().status == .exited(64))
  }

  @Test("a tilde is the home folder, and a path alone a local store, wherever a store is named")
  func storeAddresses() throws {
    let scratch = try Scratch()
    let (home, folder) = (scratch.path + "/home", scratch.path + "/work")
    for folder in [home, folder] { try NastyTree.folder(folder) }
    try NastyTree.write("text", to: folder + "/file")
    try NastyTree.write(
      "[blobservices.root]\ntype = \"local\"\npath = \"~/four\"\n"
        + "[directoryservices.root]\ntype = \"local\"\npath = \"~/four\"\n"
        + "[rootservices.root]\ntype = \"local\"\npath = \"~/four\"\n",
      to: folder + "/composition.toml"
    )
    func run(_ words: String..., store: String = "") throws -> Outcome {
      try Child(
        [Castore.binary] + words,
        scratch: scratch,
        environment: ["HOME": home, "CASTORE_STORE": store],
        folder: folder
      ).wait()
    }
    for (place, words) in [
      ("home/one", ["--store", "local:~/one"]), ("home/two", ["--store", "~/two"]),
      ("work/three", ["--store", "three"]), ("home/four", ["--composition", "composition.toml"]),
      ("work/five", ["--store", "./five"]), ("work/six", ["--store", scratch.path + "/work/six"]),
      ("work/seven:x/y", ["--store", "./seven:x/y"]), ("work/~", ["--store", "local:./~"]),
    ] {
      let parts = place.split(separator: "/").dropLast().joined(separator: "/")
      try scratch.succeed("mkdir", "-p", scratch.path + "/" + parts)
      let outcome = try run("import", words[0], words[1], "file")
      #expect(outcome.status == .exited(0), "\(words): \(outcome)")
      #expect(access(scratch.path + "/" + place, F_OK) == 0, "\(words)")
    }
    #expect(try run("ls", store: "~/one").lines == ["file"])
    #expect(try run("ls", store: "six").lines == ["file"])
    #expect(try run("copy", "--to", "~/eight", "file", store: "six").status == .exited(0))
    #expect(access(home + "/eight", F_OK) == 0)
    let user = try run("ls", "--store", "local:~nobody/x")
    #expect(user.status == .exited(64) && user.errors.contains("./~nobody/x"), "\(user)")
    #expect(try run("ls", "--store", "nosuch:x").status == .exited(64))
  }

  @Test(
    "help about what there is not is wrong usage",
    arguments: [
      ["help", "nosuch"], ["help", "nix", "nosuch"], ["help", "import", "more"],
      ["nosuch", "--help"], ["nix", "nosuch", "-h"], ["nosuch"],
    ]
  )
  func help(_ words: [String]) throws {
    let castore = Castore(try Scratch())
    let outcome = try castore.start(words).wait()
    #expect(outcome.status == .exited(64), "\(outcome)")
    #expect(outcome.errors.contains(words.contains("more") ? "more" : "nosuch"))
    #expect(outcome.output.isEmpty)
  }

  @Test("help about what there is goes to standard output")
  func goodHelp() throws {
    let castore = Castore(try Scratch())
    for words in [
      ["help"], ["help", "nix", "add"], ["nix", "--help"], ["import", "x", "--help"], [],
    ] {
      let outcome = try castore.start(words).wait()
      #expect(outcome.status == .exited(0) && outcome.text.contains("USAGE"), "\(outcome)")
      #expect(outcome.errors.isEmpty)
    }
  }
}
