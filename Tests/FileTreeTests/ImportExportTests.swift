import Castore
import CastoreStorage
import CastoreTestSupport
import FileTree
import Foundation
import Testing

@Suite("Trees on their way in and out")
struct ImportExportTests {
  let shop: Workshop

  init() throws { shop = try Workshop() }

  /// Names with newline and bytes that are not UTF-8, long names and links, empty things, one file with
  /// and without the executable bit, one folder at two places, many entries, a file on both sides of
  /// every limit.
  private func makeNastyTree() throws -> String {
    let path = try shop.makeFolder("nasty")
    let made = try Shell.script(
      """
      umask 022
      cd "$1"
      printf a > $'new\\nline'; printf b > $'\\xff\\xfe\\x80'; printf c > $'tab\\there'
      printf d > "$(printf 'n%.0s' $(seq 255))"
      mkdir "$(printf 'd%.0s' $(seq 255))"
      ln -s "$(printf 'l%.0s' $(seq 4095))" long; ln -s $'\\xff' odd; ln -s . self; ln -s /nowhere gone
      : > empty; mkdir hollow
      printf run > plain; printf run > exec; chmod 755 exec
      mkdir -p a b; printf same > a/keep; cp -r a b/a
      mkdir many; (cd many; seq 1000 | xargs touch; seq 3000 > 1)
      for n in 65535 65536 65537 1048576 9000000; do head -c $n /dev/urandom > size$n; done
      printf x > ' '; printf y > '-rf'; printf z > '*'
      find . -type d -exec chmod 755 {} +
      """,
      path
    )
    #expect(made.code == 0, "\(made.output)")
    return path
  }

  @Test("a nasty tree comes back equal")
  func nasty() throws {
    let tree = try makeNastyTree()
    let result = try shop.importTree(tree)
    #expect(result.statistics.files == 1017)
    #expect(result.statistics.symlinks == 4)
    #expect(result.statistics.skipped == 0)
    try shop.export(result.node, to: shop.sub("out"))
    #expect(try Shell.fingerprint(shop.sub("out")) == Shell.fingerprint(tree))

    // Again: the same node, nothing new in the store.
    let before = try shop.store.statistics()
    let again = try shop.importTree(tree)
    #expect(again.node == result.node)
    #expect(again.statistics == result.statistics)
    var after = try shop.store.statistics()
    after.indexBytes = before.indexBytes
    #expect(after == before)
    var problems: [String] = []
    _ = try shop.store.verify(rehash: true) { problems.append("\($0)") }
    #expect(problems == [])
  }

  @Test("the tree's size follows either rule")
  func sizeRules() throws {
    let tree = try shop.makeFolder("t/keep")
    try shop.write("", to: "\(tree)/.keep")
    try shop.write("", to: shop.sub("t/.keep"))
    symlink("/nix/store/somewhereelse", shop.sub("t/aa"))
    var options = TreeImporter.Options()
    let specified = try shop.importTree(shop.sub("t"), options: options)
    #expect(specified.node == Fixtures.complicated.directory.node())
    options.sizeRule = .snix
    let snix = try shop.importTree(shop.sub("t"), options: options)
    #expect(snix.node == Fixtures.complicatedSnix.directory.node(rule: .snix))
  }

  @Test("thousands of folders in each other go in, come out, and are removed after an error")
  func deep() throws {
    let depth = 1300
    let made = try Shell.run(
      "/usr/bin/env",
      [
        "perl", "-e",
        """
        chdir $ARGV[0]; mkdir "t", 0755; chdir "t";
        for (1..\(depth)) {
          mkdir "d", 0755; mkdir "e", 0755; open F, ">f"; print F $_; close F; chdir "d";
        }
        """, shop.folder.path,
      ]
    )
    #expect(made.code == 0, "\(made.output)")
    let result = try shop.importTree(shop.sub("t"))
    #expect(result.statistics.files == UInt64(depth))
    #expect(result.statistics.directories == UInt64(2 * depth + 1))
    try shop.export(result.node, to: shop.sub("out"))
    let again = try shop.importTree(shop.sub("out"))
    #expect(again.node == result.node)

    // One more level, whose file is missing: everything has to be cleaned up.
    let lost = Node.file(digest: B3Digest(hashing: [42]), size: 1, isExecutable: false)
    let writer = try shop.store.makeWriter()
    var node = lost
    for _ in 0..<depth {
      let directory = try Directory([NamedNode(name: "d", node: node)])
      node = .directory(digest: try writer.putDirectory(directory), size: directory.size())
    }
    try writer.flush()
    let error = serviceError { try shop.export(node, to: shop.sub("broken")) }
    #expect(error?.code == .notFound)
    let left = try FileManager.default.contentsOfDirectory(atPath: shop.folder.path).sorted()
    #expect(left == ["out", "store", "t"])
  }

  @Test("a root may be a file or a link")
  func otherRoots() throws {
    try shop.write("#!/bin/sh\n", to: shop.sub("f"))
    chmod(shop.sub("f"), 0o755)
    symlink("nowhere", shop.sub("l"))
    let file = try shop.importTree(shop.sub("f")).node
    #expect(
      file
        == .file(
          digest: B3Digest(hashing: Array("#!/bin/sh\n".utf8)),
          size: 10,
          isExecutable: true
        )
    )
    let link = try shop.importTree(shop.sub("l")).node
    #expect(link == .symlink(target: "nowhere"))
    try shop.export(file, to: shop.sub("f2"))
    try shop.export(link, to: shop.sub("l2"))
    #expect(FileManager.default.isExecutableFile(atPath: shop.sub("f2")))
    let target = try FileManager.default.destinationOfSymbolicLink(atPath: shop.sub("l2"))
    #expect(target == "nowhere")
  }

  @Test("what exists is never written over, not even a link to nowhere")
  func existing() throws {
    let node = Node.symlink(target: "x")
    symlink("nowhere", shop.sub("dangling"))
    try shop.write("old", to: shop.sub("file"))
    _ = try shop.makeFolder("hollow")
    for name in ["dangling", "file", "hollow", "hollow/", ".", "..", "/"] {
      let error = serviceError { try shop.export(node, to: shop.sub(name)) }
      #expect(error?.code == .invalidArgument, "\(name): \(String(describing: error))")
    }
    let missing = serviceError { try shop.export(node, to: shop.sub("no/where")) }
    #expect(missing?.code == .notFound)
    #expect(missing?.message.contains("no/where") == true)
  }

  @Test("a blob of another length than the directory says is refused")
  func lyingDirectory() throws {
    let writer = try shop.store.makeWriter()
    for count in [5, 100_000] {
      let bytes = [UInt8](repeating: 1, count: count)
      let digest = try bytes.withUnsafeBytes { try writer.putBlob($0) }
      try writer.flush()
      for size in [UInt64(count) - 1, UInt64(count) + 1, 0, .max] {
        let node = Node.file(digest: digest, size: size, isExecutable: false)
        let error = serviceError { try shop.export(node, to: shop.sub("out")) }
        #expect(error?.code == .corrupt)
      }
    }
    #expect(!FileManager.default.fileExists(atPath: shop.sub("out")))
  }
}
