import Castore
import CastoreTestSupport
import Testing

@Suite("Indexes of directories")
struct DirectoryIndexTests {
  private func bytes(_ span: RawSpan) -> [UInt8] { span.withUnsafeBytes { [UInt8]($0) } }

  @Test("an index gives the entries of the directory, in order, and finds them")
  func entries() throws {
    var generator = SeededGenerator()
    let known = Fixtures.directories.map(\.directory)
    for directory in known + (0..<50).map({ _ in generator.directory() }) {
      let index = DirectoryIndex(directory)
      #expect(index.count == directory.entries.count)
      #expect(index.isEmpty == directory.entries.isEmpty)
      #expect(index.specifiedSize == directory.specifiedSize)
      #expect(index.digest == directory.digest)
      for (position, entry) in directory.entries.enumerated() {
        // Read into values first: what `#expect` looks at must be able to escape.
        let view = index.entry(at: position)
        let (name, target) = (bytes(view.name), bytes(view.target))
        let (kind, digest, size) = (view.kind, view.digest, view.size)
        let (isExecutable, node, named) = (view.isExecutable, view.node, view.namedNode)
        #expect(name == entry.name.bytes, "seed \(generator.seed)")
        #expect(node == entry.node)
        #expect(named == entry)
        #expect(kind == entry.node.kind)
        switch entry.node {
        case .directory(let expected, let expectedSize):
          #expect(digest == expected && size == expectedSize && target.isEmpty && !isExecutable)
        case .file(let expected, let expectedSize, let expectedBit):
          #expect(digest == expected && size == expectedSize && target.isEmpty)
          #expect(isExecutable == expectedBit)
        case .symlink(let expected):
          #expect(digest == nil && target == expected.bytes && !isExecutable)
          #expect(size == UInt64(expected.bytes.count))
        }
        #expect(index.index(of: entry.name) == position)
        #expect(index.index(ofName: entry.name.bytes.span.bytes) == position)
        #expect(index.node(named: entry.name) == entry.node)
      }
      for _ in 0..<20 {
        let name = generator.name()
        let expected = directory.entries.firstIndex { $0.name == name }
        #expect(index.index(of: name) == expected, "seed \(generator.seed)")
      }
    }
  }

  @Test("any bytes may be asked for")
  func foreignNames() {
    let index = DirectoryIndex(Fixtures.complicated.directory)
    for name in [[], [0], [0x2f], [0xff], [UInt8](repeating: 0x61, count: 100_000)] as [[UInt8]] {
      #expect(index.index(ofName: name.span.bytes) == nil)
    }
    #expect(index.index(ofName: UnsafeRawBufferPointer(start: nil, count: 0)) == nil)
  }

  @Test("a directory of 100,000 entries of all kinds is read, indexed and searched")
  func large() throws {
    let count = 100_000
    let digest = Fixtures.helloWorld.digest
    let entries = try (0..<count).map { number in
      let node: Node =
        switch number % 3 {
        case 0: .directory(digest: digest, size: UInt64(number))
        case 1: .file(digest: digest, size: UInt64(number), isExecutable: number % 2 == 0)
        default: .symlink(target: "target")
        }
      return NamedNode(name: try PathComponent("entry \(number)"), node: node)
    }
    let directory = try Directory(entries)
    let encoding = directory.encoded()
    #expect(try Directory(canonicalEncoding: encoding) == directory)
    let index = try DirectoryIndex(canonicalEncoding: encoding)
    #expect(index.count == count)
    for number in stride(from: 0, to: count, by: 997) {
      #expect(index.node(named: entries[number].name) == entries[number].node)
      #expect(directory.node(named: entries[number].name) == entries[number].node)
    }
    #expect(index.index(of: "entry 100000") == nil)
    #expect(index.index(of: "entry") == nil)
  }
}
