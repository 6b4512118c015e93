import Castore
import CastoreTestSupport
import Testing

@Suite("Trees from streams of entries")
struct TreeBuilderTests {
  private static let emptyFile = IngestionEntry.Content.file(
    digest: Fixtures.emptyBlob.digest,
    size: 0,
    isExecutable: false
  )

  private func build(
    _ entries: [(CastorePath, IngestionEntry.Content)],
    rule: DirectorySizeRule = .specified
  ) throws -> (root: NamedNode, directories: [Directory]) {
    var builder = TreeBuilder(sizeRule: rule)
    var directories: [Directory] = []
    for (path, content) in entries {
      try builder.add(IngestionEntry(path: path, content: content)) { directory in
        directories.append(directory)
        return directory.digest
      }
    }
    return (try builder.finish(), directories)
  }

  @Test("a lone file, link or empty directory is a tree")
  func loneEntries() throws {
    let file = IngestionEntry.Content.file(
      digest: Fixtures.dummyDigest,
      size: 42,
      isExecutable: true
    )
    let (root, none) = try build([("foo", file)])
    let expected = Node.file(digest: Fixtures.dummyDigest, size: 42, isExecutable: true)
    #expect(root == NamedNode(name: "foo", node: expected))
    #expect(none.isEmpty)
    let link = try build([("foo", .symlink(target: "blub"))])
    #expect(link.root.node == .symlink(target: "blub"))
    let directory = try build([("foo", .directory)])
    #expect(directory.root.node == Directory().node())
    #expect(directory.directories == [Directory()])
  }

  @Test("the known directories come out, by either rule, in any order of siblings")
  func knownDirectories() throws {
    let keep = try build([("foo/.keep", Self.emptyFile), ("foo", .directory)])
    #expect(keep.root.node == Fixtures.withKeep.directory.node())

    let entries: [[(CastorePath, IngestionEntry.Content)]] = [
      [
        ("b/.keep", Self.emptyFile), ("b/keep/.keep", Self.emptyFile), ("b/keep", .directory),
        ("b/aa", .symlink(target: "/nix/store/somewhereelse")), ("b", .directory),
      ],
      [
        ("b/aa", .symlink(target: "/nix/store/somewhereelse")), ("b/keep/.keep", Self.emptyFile),
        ("b/.keep", Self.emptyFile), ("b/keep", .directory), ("b", .directory),
      ],
    ]
    for order in entries {
      let specified = try build(order)
      #expect(specified.root.node == Fixtures.complicated.directory.node())
      let keep = Fixtures.withKeep.directory
      #expect(specified.directories == [keep, Fixtures.complicated.directory])
      let snix = try build(order, rule: .snix)
      #expect(snix.root.node == Fixtures.complicatedSnix.directory.node(rule: .snix))
      // What comes out is a closure.
      var graph = DirectoryGraph(.leavesToRoot)
      for directory in snix.directories { try graph.add(directory) }
      #expect(try graph.validate().root == Fixtures.complicatedSnix.digest)
    }
  }

  @Test("streams that are no tree are refused, with the reason")
  func refused() {
    func expectRefused(
      _ entries: [(CastorePath, IngestionEntry.Content)],
      _ message: String,
      sourceLocation: SourceLocation = #_sourceLocation
    ) {
      let error = #expect(throws: IngestionError.self, sourceLocation: sourceLocation) {
        try build(entries)
      }
      #expect(error?.description == message, sourceLocation: sourceLocation)
    }
    let file = Self.emptyFile
    expectRefused([], "there are no entries")
    expectRefused([("a/b", file)], "the entries end inside a")
    expectRefused([("", .directory)], "an entry has an empty path")
    expectRefused([("", file)], "an entry has an empty path")
    expectRefused(
      [("a/b/c", file), ("a", .directory)],
      "there are entries inside a/b, but it never comes itself"
    )
    expectRefused(
      [("x/y", file), ("a", file)],
      "there are entries inside x, but it never comes itself"
    )
    expectRefused(
      [("a/b", .directory), ("a/b/c", file)],
      "an entry inside a/b comes after a/b itself"
    )
    expectRefused(
      [("a/b", .directory), ("a/b/c/d/e", file)],
      "an entry inside a/b comes after a/b itself"
    )
    expectRefused([("a", .directory), ("a/b", file)], "a/b comes after the root of the tree")
    expectRefused([("a", file), ("b", file)], "b comes after the root of the tree")
    expectRefused([("a/b", file), ("a/b", file)], "a/b comes twice")
    expectRefused([("a/b", file), ("a/b", .directory)], "a/b comes twice")
    expectRefused(
      [("a/b", file), ("a/b/c", file)],
      "an entry lies below a/b, which is not a directory"
    )
    expectRefused(
      [("a/b/c", file), ("a/b", file)],
      "an entry lies below a/b, which is not a directory"
    )
    expectRefused([("a/b", file), ("a", file)], "an entry lies below a, which is not a directory")
  }

  @Test("an error of the store comes through, with the path")
  func storeFails() {
    var builder = TreeBuilder()
    let error = #expect(throws: IngestionError.self) {
      try builder.add(IngestionEntry(path: "foo", content: .directory)) {
        (_) throws(ServiceError) in
        throw ServiceError(.outOfSpace, "disk full")
      }
    }
    #expect(error?.description == "cannot store foo: disk full")
  }

  @Test("100,000 entries of one directory, in no order, take no quadratic time")
  func wide() throws {
    let names = try (0..<100_000).map { try PathComponent("\($0)") }.shuffled()
    var builder = TreeBuilder()
    for name in names {
      let path = CastorePath(["root", name])
      try builder.add(IngestionEntry(path: path, content: Self.emptyFile)) { $0.digest }
    }
    try builder.add(IngestionEntry(path: "root", content: .directory)) { $0.digest }
    guard case .directory(_, let size) = try builder.finish().node else {
      Issue.record("the root is no directory")
      return
    }
    #expect(size == 100_000)
  }
}
