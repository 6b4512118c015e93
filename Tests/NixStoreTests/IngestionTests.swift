import Castore
import CastoreStorage
import CastoreTestSupport
import NixCompat
import NixStore
import NixTestSupport
import Testing

@Suite("Trees of NARs")
struct IngestionTests {
  @Test("come back, whatever pieces the bytes come in", arguments: [1, 7, 4096, Int.max])
  func vectors(pieces: Int) throws {
    let source = try MemoryStore.populated()
    for fixture in NARFixtures.all {
      let store = MemoryStore()
      let result = try store.ingest(try source.nar(of: fixture.node), pieces: pieces)
      #expect(result.node == fixture.node)
      #expect(result.size == fixture.size)
      #expect(result.sha256 == fixture.sha256)
      #expect(try store.nar(of: result.node) == source.nar(of: fixture.node))
    }
  }

  @Test("come back from pieces that end anywhere, and with blobs that are spooled")
  func large() throws {
    let source = MemoryStore()
    let root = try SampleTree.make(in: source, sizes: RenderingTests.sizes)
    let nar = try source.nar(of: root)
    for (limit, pieces) in [(1 << 20, Int.max), (1 << 20, 99_991), (100, 1 << 16)] {
      let store = MemoryStore(inMemoryLimit: limit)
      #expect(try store.ingest(nar, pieces: pieces).node == root)
      #expect(try store.nar(of: root) == nar)
    }
  }

  @Test("have directory sizes by the rule that was asked for")
  func sizeRule() throws {
    let source = try MemoryStore.populated()
    var options = NARIngester.Options()
    options.sizeRule = .snix
    let store = MemoryStore()
    let nar = try source.nar(of: NARFixtures.complicated.node)
    let result = try NARIngester(into: store, options: options).ingest(ByteArraySource(nar))
    #expect(result.node == Fixtures.complicatedSnix.directory.node(rule: .snix))
  }

  static let addresses: [(String, String)] = [
    (
      "complicated",
      "fixed:r:sha256:ebd52279a8df024c9fd5718de4103bf5e760dc7f2cf49044ee7dea87ab16911a"
    ),
    (
      "complicated",
      "fixed:r:sha512:1f5d43941411f35f09211f8596b426ee6e4dd3af1639e0ed2273cbe44b818fc4a59e3af02a057c5b18fbfcf435497de5f1994206c137f469b3df674966a922f0"
    ),
    ("hello world", "fixed:md5:ed076287532e86365e841e92bfc50d8c"),
    ("symlink", "fixed:r:sha1:424eeaaa9cc016bab030bf007cb1be6483e7ba9e"),
  ]

  @Test("are what their content address says, or an error", arguments: addresses)
  func contentAddresses(name: String, text: String) throws {
    let fixture = try #require(NARFixtures.all.first { $0.name == name })
    let nar = try MemoryStore.populated().nar(of: fixture.node)
    let parts = text.split(separator: ":").map(String.init)
    for isRight in [true, false] {
      let digits = isRight ? parts[parts.count - 1] : "f" + parts[parts.count - 1].dropFirst()
      let hash = try NixHash(parsing: "\(parts[parts.count - 2]):\(digits)")
      let address: ContentAddress = parts.count == 4 ? .recursive(hash) : .flat(hash)
      let expectation = NARIngester.Expectation(contentAddress: address)
      if isRight {
        #expect(try MemoryStore().ingest(nar, expecting: expectation).node == fixture.node)
      } else {
        let error = #expect(throws: NARIngestionError.self) {
          try MemoryStore().ingest(nar, expecting: expectation)
        }
        guard case .wrongHash = error else {
          Issue.record("\(error.map { "\($0)" } ?? "")")
          continue
        }
      }
    }
  }

  @Test("are an error where a file's content address meets something else")
  func notAFile() throws {
    let source = try MemoryStore.populated()
    let hash = NixHasher.hash(Fixtures.helloWorld.bytes, with: .sha256)
    for address in [ContentAddress.flat(hash), .text(try #require(hash.sha256))] {
      let expectation = NARIngester.Expectation(contentAddress: address)
      for fixture in [NARFixtures.symlink, NARFixtures.complicated] {
        let error = #expect(throws: NARIngestionError.self) {
          try MemoryStore().ingest(source.nar(of: fixture.node), expecting: expectation)
        }
        guard case .notAFile = error else {
          Issue.record("\(error.map { "\($0)" } ?? "")")
          continue
        }
      }
      let nar = try source.nar(of: NARFixtures.helloWorld.node)
      #expect(
        try MemoryStore().ingest(nar, expecting: expectation).node == NARFixtures.helloWorld.node
      )
    }
  }

  @Test("are compared with a stated size and hash")
  func expectations() throws {
    let fixture = NARFixtures.complicated
    let nar = try MemoryStore.populated().nar(of: fixture.node)
    let right = NARIngester.Expectation(size: fixture.size, sha256: fixture.sha256)
    #expect(try MemoryStore().ingest(nar, expecting: right).node == fixture.node)
    for wrong in [
      NARIngester.Expectation(size: fixture.size + 1),
      NARIngester.Expectation(sha256: NARFixtures.symlink.sha256),
    ] {
      #expect(throws: NARIngestionError.self) { try MemoryStore().ingest(nar, expecting: wrong) }
    }
  }

  @Test("are an error that says where, when the NAR is cut off at any byte")
  func truncation() throws {
    let nar = try MemoryStore.populated().nar(of: NARFixtures.complicated.node)
    for end in nar.indices {
      let store = MemoryStore()
      let error = #expect(throws: NARIngestionError.self) { try store.ingest(Array(nar[..<end])) }
      guard case .malformed(let flaw) = error else {
        Issue.record("\(error.map { "\($0)" } ?? "")")
        continue
      }
      #expect(flaw.code == .unexpectedEnd)
      #expect(flaw.offset == UInt64(end))
    }
    #expect(throws: NARIngestionError.self) { try MemoryStore().ingest(nar + [0]) }
  }

  @Test("of ten thousand damaged NARs are errors, or trees that give the same NAR again")
  func mutations() throws {
    let source = MemoryStore()
    let tree = try Directory([
      NamedNode(
        name: "exe",
        node: .file(
          digest: source.blobs.insert([1, 2, 3]),
          size: 3,
          isExecutable: true
        )
      ),
      NamedNode(name: "folder", node: Fixtures.withKeep.directory.node()),
      NamedNode(name: "link", node: .symlink(target: "exe")),
    ])
    _ = try source.putDirectory(tree)
    _ = try source.putDirectory(Fixtures.withKeep.directory)
    let nar = try source.nar(of: tree.node())
    var generator = SeededGenerator()
    var accepted = 0
    for _ in 0..<10_000 {
      var mutated = nar
      for _ in 0...(generator.next() % 2) {
        let place = Int(generator.next() % UInt64(mutated.count))
        switch generator.next() % 4 {
        case 0: mutated[place] = UInt8(truncatingIfNeeded: generator.next())
        case 1: mutated[place] ^= 1 << UInt8(generator.next() % 8)
        case 2: mutated.removeSubrange(place..<min(mutated.count, place + 8))
        default:
          mutated.insert(contentsOf: mutated[place..<min(mutated.count, place + 8)], at: place)
        }
        if mutated.isEmpty { mutated = [0] }
      }
      let store = MemoryStore()
      if let result = try? store.ingest(mutated) {
        accepted += 1
        #expect(try store.nar(of: result.node) == mutated, "seed \(generator.seed)")
      }
    }
    #expect(accepted > 0 && accepted < 10_000)
  }

  @Test("that cannot be stored are an error, and nothing hangs")
  func failingStore() throws {
    let nar = try MemoryStore.populated().nar(of: NARFixtures.complicated.node)
    let store = MemoryStore()
    store.fail()
    let error = #expect(throws: NARIngestionError.self) { try store.ingest(nar) }
    guard case .notStored(let path, let cause) = error else {
      Issue.record("\(error.map { "\($0)" } ?? "")")
      return
    }
    #expect(path == "'.keep'")
    #expect(cause.code == .outOfSpace)
  }

  @Test("whose source fails are an error that says where")
  func failingSource() throws {
    struct Broken: ByteSource, Sendable {
      var inner: ByteArraySource
      mutating func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = inner.read(into: buffer)
        if count == 0 { throw ServiceError(.io, "the cable was pulled") }
        return count
      }
    }
    let memory = MemoryStore()
    let nar = try memory.nar(of: SampleTree.make(in: memory, sizes: [3_000_000]))
    for end in [0, 1, 500, 1 << 20, 2_500_000] {
      let source = Broken(inner: ByteArraySource(Array(nar[..<end])))
      let error = #expect(throws: NARIngestionError.self) {
        try NARIngester(into: MemoryStore()).ingest(source)
      }
      guard case .malformed(let flaw) = error else {
        Issue.record("\(error.map { "\($0)" } ?? "")")
        continue
      }
      #expect(flaw.code == .sourceFailed)
      #expect(flaw.offset <= UInt64(end))
    }
  }

  @Test("have no more entries in open directories than allowed")
  func entryLimit() throws {
    var sink = NARWriter(ByteArraySink())
    try sink.write(.directoryStart)
    for number in 100..<200 {
      try sink.write(.entry(name: [UInt8]("\(number)".utf8)))
      try sink.write(.symlink(target: [1]))
    }
    try sink.write(.directoryEnd)
    let nar = try sink.finish().bytes
    var options = NARIngester.Options()
    options.maximumOpenEntries = 99
    #expect(throws: NARIngestionError.self) {
      try NARIngester(into: MemoryStore(), options: options).ingest(ByteArraySource(nar))
    }
    options.maximumOpenEntries = 100
    _ = try NARIngester(into: MemoryStore(), options: options).ingest(ByteArraySource(nar))
  }
}
