import Castore
import CastoreComposition
import CastoreTestSupport
import Platform
import Testing

@Suite("Caches")
struct CacheTests {
  @Test("keep the promises of a service")
  func conformance() async throws {
    try await checkBlobService(
      CachingBlobService(
        near: MemoryBlobService(),
        far: MemoryBlobService(),
        negativeDuration: .zero
      )
    )
    try await checkBlobService(
      CachingBlobService(near: MemoryBlobService(), far: MemoryBlobService(), writes: .near)
    )
    try await checkDirectoryService {
      CachingDirectoryService(near: MemoryDirectoryService(), far: MemoryDirectoryService())
    }
    try await checkDirectoryService {
      CachingDirectoryService(near: LRUDirectoryService(capacity: 1), far: MemoryDirectoryService())
    }
  }

  @Test("a read fills the near side, and the second one stays there", arguments: [10, 3 << 20])
  func fills(size: Int) async throws {
    let near = MemoryBlobService()
    let far = ProbeBlobService()
    let bytes = [UInt8](repeating: 7, count: size)
    let digest = far.inner.insert(bytes)
    let cache = CachingBlobService(near: near, far: far)
    for _ in 0..<2 {
      let reader = try #require(try await cache.openRead(digest))
      #expect(try await reader.read(at: 0, count: size) == bytes)
      await cache.settle()
    }
    #expect(far.openCount == 1)
    #expect(try await near.has(digest))
    #expect(try cache.holdsLocal(digest))
    #expect(!cache.isComplete)
  }

  @Test("a blob too long to wait for is read meanwhile, and comes near")
  func long() async throws {
    let near = MemoryBlobService()
    let far = MemoryBlobService()
    let bytes = [UInt8](repeating: 7, count: (64 << 20) + 1)
    let digest = far.insert(bytes)
    let cache = CachingBlobService(near: near, far: far)
    let reader = try #require(try await cache.openRead(digest))
    #expect(try await reader.read(at: 1 << 20, count: 3) == [7, 7, 7])
    while try await !near.has(digest) { await Task.yield() }
    #expect(try await reader.read(at: 64 << 20, count: 3) == [7])
  }

  @Test("several readers of one missing blob fetch it once")
  func singleFlight() async throws {
    var far = ProbeBlobService()
    far.delay = .milliseconds(50)
    let digest = far.inner.insert([1, 2, 3])
    let cache = CachingBlobService(near: MemoryBlobService(), far: far)
    try await withThrowingTaskGroup(of: [UInt8]?.self) { group in
      for _ in 0..<20 {
        group.addTask { try await cache.openRead(digest)?.read(at: 0, count: 10) }
      }
      for try await bytes in group { #expect(bytes == [1, 2, 3]) }
    }
    #expect(far.openCount == 1)
  }

  @Test("a near side that fails never fails a read")
  func brokenNear() async throws {
    let (near, far) = (ProbeBlobService(), MemoryBlobService())
    near.breakDown()
    let cache = CachingBlobService(near: near, far: far)
    for size in [3, 3 << 20] {
      let digest = far.insert([UInt8](repeating: 1, count: size))
      let reader = try #require(try await cache.openRead(digest))
      #expect(try await reader.read(at: 0, count: 2) == [1, 1])
      #expect(try await cache.has(digest))
    }
    let nearDirectories = ProbeDirectoryService()
    nearDirectories.isBroken.withLock { $0 = true }
    let farDirectories = MemoryDirectoryService()
    let known = Fixtures.directoryA
    farDirectories.insert(known.directory)
    let directories = CachingDirectoryService(near: nearDirectories, far: farDirectories)
    #expect(try await directories.get(known.digest) == known.directory)
  }

  @Test("what was missing is not looked for again at once, and found when it was put")
  func negative() async throws {
    let far = ProbeBlobService()
    let cache = CachingBlobService(near: MemoryBlobService(), far: far)
    let digest = B3Digest(hashing: [9])
    #expect(try await cache.openRead(digest) == nil)
    #expect(try await cache.openRead(digest) == nil)
    #expect(far.openCount == 1)
    #expect(try await write([9], to: cache) == digest)
    #expect(try await cache.openRead(digest) != nil)
  }

  @Test("wrong bytes from afar are refused, and not kept")
  func wrongBytes() async throws {
    let near = MemoryBlobService()
    let cache = CachingBlobService(near: near, far: Liar())
    let digest = B3Digest(hashing: [1])
    await #expect(throws: ServiceError.self) { try await cache.openRead(digest) }
    #expect(try await !near.has(digest))
  }

  @Test("a walk costs fewer calls than it has directories, the second one none")
  func prefetch() async throws {
    let far = ProbeDirectoryService()
    var children: [(PathComponent, Node)] = []
    for number in 0..<50 {
      let child = Directory(
        fixture: [PathComponent(stringLiteral: "f\(number)"): .symlink(target: "x")]
      )
      far.inner.insert(child)
      children.append((PathComponent(stringLiteral: "d\(number)"), child.node()))
    }
    let root = try Directory(children.map { NamedNode(name: $0.0, node: $0.1) })
    far.inner.insert(root)
    let near = MemoryDirectoryService()
    let cache = CachingDirectoryService(near: near, far: far)
    for _ in 0..<2 {
      for (name, _) in children {
        let found = try await cache.descend(
          from: root.node(),
          to: CastorePath([name])
        )
        #expect(found?.kind == .directory)
        guard case .directory(let digest, _) = found else { continue }
        #expect(try await cache.get(digest) != nil)
      }
      await cache.settle()
      #expect(far.calls.withLock { $0 } == 1)
    }
    #expect(try await near.get(root.digest) == root)
  }
}

@Suite("Names that are still known")
struct KnownRootsTests {
  @Test("are forgotten once the far side has listed all names without them")
  func forgotten() async throws {
    let folder = try TestFolder()
    let far = MemoryRootNodes()
    let node = Node.symlink(target: "x")
    for name in ["a", "b", "c"] as [PathComponent] {
      _ = try await far.putRoot(name, node, replace: false)
    }
    let file = folder.path + "/names"
    func listed(_ nodes: any RootNodes) async throws -> [PathComponent] {
      var names: [PathComponent] = []
      for try await entry in nodes.list() { names.append(entry.name) }
      return names.sorted()
    }
    let first = CachingRootNodes(far: far, file: file)
    #expect(try await listed(first) == ["a", "b", "c"])
    await first.settle()
    _ = try await far.dropRoot("b")
    let second = CachingRootNodes(far: far, file: file)
    #expect(try await listed(second) == ["a", "c"])
    await second.settle()
    _ = try await far.dropRoot("c")
    let third = CachingRootNodes(far: far, file: file)
    #expect(try await third.node(named: "c") == nil)
    await third.settle()
    #expect(try await listed(CachingRootNodes(far: UnreachableRootNodes(), file: file)) == ["a"])
  }
}

private struct UnreachableRootNodes: RootNodes {
  private let error = ServiceError(.unavailable, "nobody is there")

  func node(named name: PathComponent) async throws(ServiceError) -> Node? { throw error }

  func list() -> AsyncThrowingStream<NamedNode, any Error> {
    AsyncThrowingStream { throw error }
  }
}

private struct Liar: BlobService {
  func has(_ digest: B3Digest) async throws(ServiceError) -> Bool { true }

  func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? {
    let other = MemoryBlobService()
    return try await other.openRead(other.insert([0xff]))
  }

  func openWrite() async throws(ServiceError) -> any BlobWriter {
    throw ServiceError(.unsupported, "no writing")
  }

  func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? { [] }
}
