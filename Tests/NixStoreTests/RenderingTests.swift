import Castore
import CastoreStorage
import CastoreTestSupport
import Glibc
import NixCompat
import NixStore
import NixTestSupport
import Testing

@Suite("NARs of stored trees")
struct RenderingTests {
  /// Around the sizes of buffers, pieces and files.
  static let sizes = [
    0, 1, 7, 8, 9, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 524_287, 524_288, 524_289,
    1_048_575, 1_048_576, 1_048_577, 3_000_000,
  ]

  @Test("are those of other implementations", arguments: NARFixtures.all.map(\.name))
  func vectors(name: String) async throws {
    let fixture = try #require(NARFixtures.all.first { $0.name == name })
    let store = try MemoryStore.populated()
    let nar = try store.nar(of: fixture.node)
    #expect(UInt64(nar.count) == fixture.size)
    #expect(SHA256Hasher.hash(nar) == fixture.sha256)
    let expected = NARSummary(size: fixture.size, sha256: fixture.sha256)
    #expect(try store.renderer.summarize(fixture.node) == expected)
    for remote in [false, true] {
      let calculator: any NARCalculator =
        remote
        ? RenderingNARCalculator(blobs: RemoteBlobs(inner: store.blobs), directories: store)
        : RenderingNARCalculator(blobs: store.blobs, directories: store)
      #expect(try await calculator.calculateNAR(of: fixture.node) == expected)
    }
    let seekable = try await SeekableNAR(of: fixture.node, directories: store)
    #expect(seekable.size == fixture.size)
    #expect(try await seekable.read(at: 0, count: .max, from: store.blobs) == nar)
  }

  @Test("are the same by every way there is")
  func ways() async throws {
    let memory = MemoryStore()
    let root = try SampleTree.make(in: memory, sizes: Self.sizes)
    let nar = try memory.nar(of: root)
    // What a strict reader makes of it is the tree again.
    #expect(try MemoryStore().ingest(nar).node == root)

    var streamed: [UInt8] = []
    let renderer = AsyncNARRenderer(blobs: RemoteBlobs(inner: memory.blobs), directories: memory)
    try await renderer.render(root) { streamed += $0 }
    #expect(streamed == nar)

    // A local store: blobs in the index and in files, to a file, to a pipe.
    let folder = try TestFolder()
    let store = try LocalStore(path: folder.sub("store"), create: true)
    let writer = try store.makeWriter()
    let node = try NARIngester(into: writer).ingest(ByteArraySource(nar)).node
    #expect(node == root)
    try writer.flush()
    let local = NARRenderer(blobs: store, directories: store)
    var sink = ByteArraySink()
    #expect(try local.render(root, to: &sink) == UInt64(nar.count))
    #expect(sink.bytes == nar)
    let path = folder.sub("out.nar")
    let file = open(path, O_RDWR | O_CREAT, 0o600)
    defer { close(file) }
    #expect(try local.render(root, toDescriptor: file) == UInt64(nar.count))
    #expect(try read(path) == nar)
    // Appending is something that not every system call takes part in.
    let appended = open(path, O_WRONLY | O_APPEND)
    defer { close(appended) }
    try local.render(root, toDescriptor: appended)
    #expect(try read(path) == nar + nar)
  }

  @Test("can be read from any place")
  func seeking() async throws {
    let store = try MemoryStore.populated()
    for fixture in NARFixtures.all {
      let nar = try store.nar(of: fixture.node)
      let seekable = try await SeekableNAR(of: fixture.node, directories: store)
      for start in 0...nar.count {
        for count in [0, 1, 10, 100, nar.count] {
          let expected = Array(nar[start..<min(nar.count, start + count)])
          let part = try await seekable.read(at: UInt64(start), count: count, from: store.blobs)
          #expect(part == expected)
        }
      }
      let beyond = try await seekable.read(at: .max, count: 10, from: store.blobs)
      #expect(beyond.isEmpty)
    }
    let memory = MemoryStore()
    let root = try SampleTree.make(in: memory, sizes: Self.sizes)
    let nar = try memory.nar(of: root)
    let seekable = try SeekableNAR(of: root, localDirectories: memory)
    #expect(seekable.size == UInt64(nar.count))
    var generator = SeededGenerator()
    for _ in 0..<300 {
      let start = Int(generator.next() % UInt64(nar.count))
      let count = Int(generator.next() % 2_000_000)
      let part = try await seekable.read(at: UInt64(start), count: count, from: memory.blobs)
      #expect(part == Array(nar[start..<min(nar.count, start + count)]), "seed \(generator.seed)")
    }
  }

  @Test("of a small graph that stands for a huge tree are listed in bounded memory")
  func bomb() async throws {
    let store = MemoryStore()
    var node = Node.symlink(target: "x")
    for _ in 0..<60 {
      let directory = try Directory([
        NamedNode(name: "a", node: node), NamedNode(name: "b", node: node),
      ])
      _ = try store.putDirectory(directory)
      node = directory.node()
    }
    let error = await #expect(throws: ServiceError.self) {
      try await SeekableNAR(of: node, directories: store, memoryLimit: 1 << 20)
    }
    #expect(error?.code == .unsupported)
    // And sizes that nobody can count.
    let huge = try Directory([
      NamedNode(
        name: "a",
        node: .file(digest: Fixtures.blobA.digest, size: .max, isExecutable: false)
      ),
      NamedNode(
        name: "b",
        node: .file(digest: Fixtures.blobA.digest, size: .max, isExecutable: false)
      ),
    ])
    _ = try store.putDirectory(huge)
    #expect(throws: ServiceError.self) {
      try SeekableNAR(of: huge.node(), localDirectories: store)
    }
  }

  @Test("are not made of blobs that have another size than the tree says", arguments: [2, 42, 0])
  func sizes(stated: Int) async throws {
    let store = try MemoryStore.populated()
    let node = Node.file(
      digest: Fixtures.helloWorld.digest,
      size: UInt64(stated),
      isExecutable: false
    )
    try await expectFailure(node, store, .corrupt, "blob \(Fixtures.helloWorld.digest)")
    let big = Node.file(
      digest: Fixtures.blobB.digest,
      size: UInt64(stated) + 1_044_479,
      isExecutable: false
    )
    if stated != 0 { try await expectFailure(big, store, .corrupt, "blob") }

    // Files of their own are sent without being read.
    let folder = try TestFolder()
    let local = try LocalStore(path: folder.sub("store"), create: true)
    let writer = try local.makeWriter()
    _ = try Fixtures.blobB.bytes.withUnsafeBytes { try writer.putBlob($0) }
    try writer.flush()
    let null = open("/dev/null", O_WRONLY)
    defer { close(null) }
    let error = #expect(throws: ServiceError.self) {
      try NARRenderer(blobs: local, directories: local).render(
        .file(digest: Fixtures.blobB.digest, size: 1_044_481, isExecutable: true),
        toDescriptor: null
      )
    }
    #expect(error?.code == .corrupt)
  }

  @Test("are not made of trees with holes, and the error says where")
  func holes() async throws {
    let store = MemoryStore()
    let known = try Directory([
      NamedNode(name: "x", node: .file(digest: Fixtures.blobA.digest, size: 2, isExecutable: false))
    ])
    _ = try store.putDirectory(known)
    let top = try Directory([NamedNode(name: "folder", node: known.node())])
    _ = try store.putDirectory(top)
    try await expectFailure(top.node(), store, .notFound, "'folder/x'")
    let broken = try Directory([NamedNode(name: "gone", node: Fixtures.withKeep.directory.node())])
    _ = try store.putDirectory(broken)
    try await expectFailure(broken.node(), store, .notFound, "'gone'")
    await #expect(throws: ServiceError.self) {
      try await SeekableNAR(of: broken.node(), directories: store)
    }
  }

  private func expectFailure(
    _ node: Node,
    _ store: MemoryStore,
    _ code: ServiceError.Code,
    _ part: String
  ) async throws {
    let remote = RenderingNARCalculator(blobs: RemoteBlobs(inner: store.blobs), directories: store)
    let errors = [
      #expect(throws: ServiceError.self) { try store.nar(of: node) },
      await #expect(throws: ServiceError.self) { try await remote.calculateNAR(of: node) },
    ]
    for error in errors {
      #expect(error?.code == code)
      #expect(error?.description.contains(part) == true, "\(error.map { "\($0)" } ?? "")")
    }
  }

  @Test("that nobody takes are given up: a closed pipe is an error")
  func closedPipe() throws {
    signal(SIGPIPE, SIG_IGN)
    let memory = MemoryStore()
    let root = try SampleTree.make(in: memory, sizes: [3_000_000, 3_000_000])
    var ends: [CInt] = [-1, -1]
    #expect(pipe(&ends) == 0)
    close(ends[0])
    defer { close(ends[1]) }
    #expect(throws: ServiceError.self) { try memory.renderer.render(root, toDescriptor: ends[1]) }
  }

  @Test("have sizes and hashes that are computed once")
  func caching() async throws {
    actor Counter: NARCalculator {
      var calls = 0
      func calculateNAR(of node: Node) async throws(ServiceError) -> NARSummary {
        calls += 1
        return NARSummary(size: UInt64(calls), sha256: PathInfoFixtures.zeroHash)
      }
    }
    let counter = Counter()
    let cache = CachingNARCalculator(counter, limit: 8)
    for _ in 0..<3 {
      #expect(try await cache.calculateNAR(of: NARFixtures.symlink.node).size == 1)
    }
    // Equal contents, another mode: another NAR.
    let hello = Fixtures.helloWorld.digest
    _ = try await cache.calculateNAR(of: .file(digest: hello, size: 12, isExecutable: true))
    _ = try await cache.calculateNAR(of: .file(digest: hello, size: 12, isExecutable: false))
    #expect(await counter.calls == 3)
    for number in 0..<20 {
      _ = try await cache.calculateNAR(of: .symlink(target: SymlinkTarget("\(number)")))
    }
    _ = try await cache.calculateNAR(of: NARFixtures.symlink.node)
    #expect(await counter.calls == 24)
  }

  private func read(_ path: String) throws -> [UInt8] {
    guard let file = fopen(path, "r") else { throw ServiceError(.io, "cannot open \(path)") }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = fread(&buffer, 1, buffer.count, file)
      if count == 0 { return bytes }
      bytes += buffer[..<count]
    }
  }
}
