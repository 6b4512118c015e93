import Castore
import CastoreTestSupport
import Testing

@Suite("Directories")
struct DirectoryTests {
  @Test(
    "known directories have the known encodings, digests and sizes",
    arguments: Fixtures.directories
  )
  func vectors(known: Fixtures.KnownDirectory) throws {
    #expect(known.directory.digest == known.digest)
    if let encoding = known.encoding {
      #expect(known.directory.encoded() == encoding)
      #expect(try Directory(canonicalEncoding: encoding) == known.directory)
    }
    #expect(known.directory.size(rule: .specified) == known.specifiedSize)
    #expect(known.directory.size(rule: .snix) == known.snixSize)
    for stated in UInt64(0)...20 {
      let isRight = stated == known.specifiedSize || stated == known.snixSize
      #expect(known.directory.accepts(statedSize: stated) == isRight)
    }
  }

  private func directory(_ size: UInt64) -> Node {
    .directory(digest: Fixtures.dummyDigest, size: size)
  }

  private let file = Node.file(digest: Fixtures.dummyDigest, size: 42, isExecutable: false)

  @Test("sizes are numbers of entries and sizes of child directories")
  func sizes() throws {
    #expect(Directory().size() == 0)
    #expect(Directory(fixture: ["d": directory(0)]).size() == 1)
    #expect(Directory(fixture: ["d": directory(4)]).size() == 5)
    #expect(Directory(fixture: ["f": file]).size() == 1)
    #expect(Directory(fixture: ["s": .symlink(target: "x")]).size() == 1)
    let greatest = Directory(fixture: ["d": directory(.max - 1)])
    #expect(greatest.size() == .max)
    #expect(greatest.size(rule: .snix) == .max)
    // The other rule's exact value is greater than any number that can be stated.
    #expect(greatest.accepts(statedSize: .max))
    #expect(!greatest.accepts(statedSize: 0))
    #expect(throws: DirectoryError.sizeOverflow) {
      try Directory([NamedNode(name: "d", node: directory(.max))])
    }
    #expect(throws: DirectoryError.sizeOverflow) {
      try Directory(["a", "b"].map { NamedNode(name: $0, node: directory(.max / 2)) })
    }
  }

  @Test("entries are sorted by the bytes of their names, whatever their kind")
  func sorting() throws {
    let names: [PathComponent] = ["b", "a", "c", "ab", "Z", "aa", "10", "1", "ü"]
    var grown = Directory()
    var entries: [NamedNode] = []
    for (index, name) in names.enumerated() {
      let node = [directory(1), file, .symlink(target: "t")][index % 3]
      entries.append(NamedNode(name: name, node: node))
      try grown.add(name, node)
    }
    #expect(grown.entries.map(\.name) == ["1", "10", "Z", "a", "aa", "ab", "b", "c", "ü"])
    let made = try Directory(entries)
    #expect(made == grown)
    #expect(made.digest == grown.digest)
    for entry in entries { #expect(made.node(named: entry.name) == entry.node) }
    for name: PathComponent in ["0", "11", "abc", "ÿ", "zz"] {
      #expect(made.node(named: name) == nil)
    }
    #expect(Directory().node(named: "a") == nil)
  }

  @Test("what cannot be added leaves the directory as it was")
  func refusedAdditions() {
    var directory = Directory(fixture: ["a": file, "c": self.directory(7)])
    let before = directory
    let error = #expect(throws: DirectoryError.self) { try directory.add("a", file) }
    #expect(error?.description == #""a" is a duplicate name"#)
    #expect(throws: DirectoryError.sizeOverflow) {
      try directory.add("b", self.directory(.max))
    }
    #expect(directory == before)
    #expect(throws: DirectoryError.duplicateName([0x61])) {
      try Directory(["a", "b", "a"].map { NamedNode(name: $0, node: file) })
    }
  }
}
