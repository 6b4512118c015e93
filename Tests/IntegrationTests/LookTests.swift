import Foundation
import Glibc
import Testing

/// `ls`, `cat`, `tree`, `roots`, and what all commands have in common.
@Suite(.serialized, .ownThread)
struct LookTests {
  private func makeStore() throws -> Castore {
    let castore = Castore(try Scratch())
    let tree = castore.scratch.path + "/tree"
    try NastyTree.folder(tree)
    try NastyTree.folder(tree / "sub")
    try NastyTree.folder(tree / "sub" / "deeper")
    try NastyTree.write("one", to: tree / "a")
    try NastyTree.write("three", to: tree / "sub" / "b", mode: 0o755)
    try NastyTree.write("four", to: tree / "sub" / "deeper" / [0xFF, 0x0A])
    try NastyTree.write(NastyTree.noise(1_000_000, seed: 5), to: tree / "large")
    try NastyTree.link(tree / "link", to: "sub/b")
    try castore.succeed("import", tree)
    return castore
  }

  @Test("ls shows roots, directories and files, in order")
  func list() throws {
    let castore = try makeStore()
    #expect(try castore.succeed("ls").text == "tree\n")
    #expect(try castore.succeed("ls", "tree").lines == ["a", "large", "link", "sub"])
    #expect(try castore.succeed("ls", "tree/").lines == ["a", "large", "link", "sub"])
    #expect(try castore.succeed("ls", "tree/a").lines == ["a"])
    #expect(try castore.succeed("ls", "tree/sub/deeper").text == "\\xff\\n\n")
    #expect(try castore.succeed("ls", "-0", "tree/sub/deeper").output == [0xFF, 0x0A, 0])
    let long = try castore.succeed("ls", "-l", "tree").lines
    #expect(long.map { $0.prefix(1) } == ["f", "f", "l", "d"])
    #expect(long[2].hasSuffix("link -> sub/b"))
    let parsed = try #require(try objects(castore.succeed("ls", "--json", "tree")))
    #expect(parsed.compactMap { $0["name"] as? String } == ["a", "large", "link", "sub"])
    #expect(parsed[2]["target"] as? String == "sub/b")
    let raw = try #require(try objects(castore.succeed("ls", "--json", "tree/sub/deeper")))
    #expect(raw[0]["nameHex"] as? String == "ff0a")
    let roots = try #require(try objects(castore.succeed("ls", "--json")))
    #expect(roots[0]["name"] as? String == "tree")
  }

  @Test("ls, cat, tree and export say what there is not")
  func missing() throws {
    let castore = try makeStore()
    for command in ["ls", "tree", "cat"] {
      try castore.fail(command, "nothing", saying: ["nothing"])
      try castore.fail(command, "tree/nothing", saying: ["tree/nothing"])
      try castore.fail(command, "tree/a/x", saying: ["tree/a", "not a directory"])
      try castore.fail(command, "tree/link/x", saying: ["tree/link", "not a directory"])
      try castore.fail(command, "tree/../tree", saying: ["tree/../tree"], status: 64)
      try castore.fail(command, "/tree", saying: ["/tree"], status: 64)
    }
    try castore.fail("cat", "tree/sub", saying: ["tree/sub", "not a file"])
    try castore.fail("cat", "tree/link", saying: ["tree/link", "not a file"])
    try castore.fail("ls", "--store", "local:/no/such/store", saying: ["/no/such/store"])
    try castore.fail("ls", "--store", "http:x", saying: ["--store", "http:x"], status: 64)
    let file = castore.scratch.path + "/tree/a"
    try castore.fail("ls", "--store", "local:" + file, saying: [file])
    let folder = castore.scratch.path + "/tree"
    try castore.fail("ls", "--store", "local:" + folder, saying: [folder, "not a castore store"])
    try castore.fail("import", "--store", "local:" + folder, file, saying: [folder])
  }

  @Test("cat writes files one after another, byte for byte")
  func cat() throws {
    let castore = try makeStore()
    let outcome = try castore.succeed("cat", "tree/a", "tree/large", "tree/sub/b")
    #expect(outcome.output == "one".bytes + NastyTree.noise(1_000_000, seed: 5) + "three".bytes)
  }

  @Test("tree shows everything below, or some levels of it")
  func tree() throws {
    let castore = try makeStore()
    #expect(
      try castore.succeed("tree", "tree").text == """
        tree
        ├── a
        ├── large
        ├── link -> sub/b
        └── sub/
            ├── b*
            └── deeper/
                └── \\xff\\n

        """
    )
    #expect(try castore.succeed("tree", "--depth", "1", "tree").lines.count == 5)
    let paths = try castore.succeed("tree", "--json", "tree").lines.map { line in
      let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
      return (object?["path"] ?? object?["pathHex"]) as? String ?? "none"
    }
    #expect(
      paths == [
        "a", "large", "link", "sub", "sub/b", "sub/deeper", "7375622f6465657065722fff0a",
      ]
    )
    try castore.fail("tree", "--depth", "0", "tree", saying: ["--depth"], status: 64)
  }

  @Test("roots are set, replaced and removed")
  func roots() throws {
    let castore = try makeStore()
    try castore.succeed("roots", "set", "copy", "tree/sub")
    try castore.succeed("roots", "set", "copy", "tree/sub")
    #expect(try castore.roots() == ["copy", "tree"])
    #expect(try castore.succeed("ls", "copy").lines == ["b", "deeper"])
    try castore.fail("roots", "set", "copy", "tree", saying: ["copy", "already", "--replace"])
    try castore.succeed("roots", "set", "--replace", "copy", "tree")
    let lines = try castore.succeed("roots").lines.map { $0.split(separator: "\t") }
    #expect(lines.map { $0[0] } == ["copy", "tree"])
    #expect(lines[0][1] == lines[1][1])
    #expect(try objects(castore.succeed("roots", "list", "--json"))?.count == 2)
    try castore.fail("roots", "set", "x", "nothing", saying: ["nothing"])
    try castore.fail("roots", "set", "x/y", "tree", saying: ["x/y"], status: 64)
    try castore.fail("roots", "remove", "nothing", saying: ["nothing"])
    try castore.succeed("roots", "remove", "tree", "copy")
    #expect(try castore.roots().isEmpty)
    #expect(try objects(castore.succeed("roots", "--json"))?.isEmpty == true)
    #expect(try objects(castore.succeed("ls", "--json"))?.isEmpty == true)
  }

  @Test("wrong usage ends with 64, help and version with 0")
  func usage() throws {
    let castore = Castore(try Scratch())
    for words in [
      ["frobnicate"], ["ls", "--frobnicate"], ["export"], ["export", "a"], ["mount"], ["cat"],
      ["tree"], ["roots", "set", "x"], ["mount", "--threads", "0", "/tmp"],
      ["mount", "--owner", "me", "/tmp"], ["mount", "--mtime", "7", "/tmp"],
      ["mount", "--inode-numbers", "odd", "/tmp"], ["virtiofs", "--mtime", "never", "/tmp/s"],
      ["mount", "--threads", "many", "/tmp"], ["import", "--directory-size-rule", "odd", "x"],
    ] {
      let outcome = try castore.start(words).wait()
      #expect(outcome.status == .exited(64), "\(words): \(outcome)")
      #expect(outcome.output.isEmpty && !outcome.errors.isEmpty)
    }
    for words in [[], ["--help"], ["help", "import"], ["import", "--help"], ["--version"]] {
      let outcome = try castore.start(words).wait()
      #expect(outcome.status == .exited(0), "\(words): \(outcome)")
      #expect(!outcome.output.isEmpty && outcome.errors.isEmpty)
    }
    #expect(access(castore.storePath, F_OK) == -1)
  }

  @Test("a reader that goes away ends the command quietly")
  func closedPipe() throws {
    let castore = try makeStore()
    for words in [
      ["cat", "tree/large"], ["tree", "tree"], ["ls", "tree"], ["ls", "--json"], ["roots"],
      ["stats"],
      ["verify"], ["gc", "--dry-run"], ["nix", "dump", "tree"], ["nix", "dump", "tree/large"],
      ["nix", "hash", "tree"], ["help"], ["import", "--help"], ["--version"],
      ["import", "--name", "again", Castore.binary], ["nix", "add", "/etc/hostname"],
    ] {
      var ends: [CInt] = [0, 0]
      try check(pipe(&ends), "pipe")
      close(ends[0])
      try check(fcntl(ends[1], F_SETFD, FD_CLOEXEC), "fcntl")
      defer { close(ends[1]) }
      let outcome = try castore.start(words, outputTo: ends[1]).wait()
      #expect(outcome.status == .killed(SIGPIPE), "\(words): \(outcome)")
      #expect(outcome.errors.isEmpty)
    }
  }

  @Test("output that cannot be written is an error")
  func fullOutput() throws {
    let castore = try makeStore()
    for words in [["cat", "tree/large"], ["tree", "tree"], ["ls", "tree"], ["roots"]] {
      let full = try check(open("/dev/full", O_WRONLY | O_CLOEXEC), "open")
      defer { close(full) }
      let outcome = try castore.start(words, outputTo: full).wait()
      #expect(outcome.status == .exited(1))
      #expect(outcome.errors.contains("No space left on device"), "\(outcome)")
    }
  }
}
