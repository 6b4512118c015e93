import Glibc
import Testing

/// Trees go in and come back equal, through the mount and through export.
@Suite(.serialized, .ownThread)
struct GoldenTreeTests {
  private func goAround(_ castore: Castore, _ tree: String, root: String) throws {
    try castore.succeed("import", "--name", root, tree)
    let mount = try MountedStore(castore)
    let count = try TreeComparison.mounted.expectEqual(tree, mount.path / root)
    let copy = castore.scratch.newName("export")
    try castore.succeed("export", root, copy)
    #expect(try TreeComparison.exported().expectEqual(tree, copy) == count)
    #expect(try mount.unmount().status == .exited(0))
    #expect(!mount.isMounted)
  }

  @Test("folders of the system come back equal", arguments: ["/usr/include", "/usr/share"])
  func system(_ tree: String) throws {
    try goAround(Castore(try Scratch()), tree, root: "tree")
  }

  @Test("a nasty tree comes back equal")
  func nasty() throws {
    let scratch = try Scratch()
    let tree = scratch.path + "/nasty"
    try NastyTree.make(at: tree)
    try goAround(Castore(scratch), tree, root: "nasty")
  }

  @Test("a folder of 100,000 entries comes back equal")
  func crowd() throws {
    let scratch = try Scratch()
    let tree = scratch.path + "/crowd"
    try NastyTree.makeCrowd(at: tree, count: 100_000)
    try goAround(Castore(scratch), tree, root: "crowd")
  }

  @Test("a file over 4 GiB comes back equal, and takes no more room than it holds")
  func huge() throws {
    let scratch = try Scratch()
    let castore = Castore(scratch)
    let tree = scratch.path + "/huge"
    try NastyTree.folder(tree)
    try NastyTree.makeHugeFile(at: tree / "file")
    try goAround(castore, tree, root: "huge")
    // And the hashes of its groups: 64 bytes for each 16 KiB, those of holes, too.
    var status = stat()
    try check(lstat(tree + "/file", &status), "lstat")
    #expect(try castore.diskUsage() < (16 << 20) + Int(status.st_size) / 256)
    let exported = try scratch.succeed("du", "-s", "--block-size=1", scratch.path).text
    #expect(Int(exported.prefix { $0.isNumber })! < 64 << 20)
  }

  @Test("a tree deeper than a path may be long comes back equal")
  func deeperThanPaths() throws {
    let scratch = try Scratch()
    let castore = Castore(scratch)
    let tree = scratch.path + "/tree"
    try NastyTree.folder(tree)
    let name = String(repeating: "n", count: 50)
    // 600 levels of 51 bytes: seven times what a path may hold.
    let script = """
      cd "$1"; for level in $(seq 600); do mkdir \(name)$level; cd \(name)$level; done
      echo bottom > file; ln -s target link
      """
    try scratch.succeed("bash", "-c", script, "bash", tree)
    try castore.succeed("import", tree)
    let copy = scratch.path + "/copy"
    try castore.succeed("export", "tree", copy)
    // Not by way of pipes: they are not to hide what fails.
    let list = ["find", ".", "-printf", "%P %y %l %s\\n"]
    let there = try Child(list.dropLast() + ["%P %y %l\\n"], scratch: scratch, folder: tree).wait()
    let here = try Child(list.dropLast() + ["%P %y %l\\n"], scratch: scratch, folder: copy).wait()
    #expect(there.status == .exited(0) && here.status == .exited(0))
    #expect(there.lines.count == 603)
    #expect(there.output == here.output)
    let mount = try MountedStore(castore)
    let mounted = try Child(
      list.dropLast() + ["%P %y %l\\n"],
      scratch: scratch,
      folder: mount.path + "/tree"
    ).wait()
    #expect(mounted.status == .exited(0), "\(mounted)")
    #expect(mounted.output == there.output)
  }

}
