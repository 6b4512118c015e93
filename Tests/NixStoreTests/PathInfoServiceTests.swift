import Castore
import CastoreStorage
import CastoreTestSupport
import NixCompat
import NixStore
import NixTestSupport
import Testing

@Suite("Path info services")
struct PathInfoServiceTests {
  @Test("in memory")
  func memory() async throws {
    try await checkPathInfoService(MemoryPathInfoService())
  }

  @Test("in a local store, where other openings of it see the same")
  func local() async throws {
    let folder = try TestFolder()
    let store = try LocalStore(path: folder.sub("store"), create: true)
    let service = LocalPathInfoService(store.pathInfoTable)
    try await checkPathInfoService(service)
    let other = LocalPathInfoService(
      try LocalStore(path: folder.sub("store")).pathInfoTable
    )
    #expect(try other.pathInfosVersion() == service.pathInfosVersion())
    let info = PathInfoFixtures.full
    #expect(try other.pathInfoLocal(info.storePath.digest) == info)
    try store.pathInfoTable.set(
      [UInt8](repeating: 9, count: 20),
      to: info.encoded(),
      node: info.node
    )
    let error = try? #require(throws: ServiceError.self) {
      try service.pathInfoLocal(#require(StorePathDigest([UInt8](repeating: 9, count: 20))))
    }
    #expect(error?.code == .corrupt)
  }

  @Test("that sign what is put")
  func signing() async throws {
    let inner = MemoryPathInfoService()
    let service = SigningPathInfoService(inner, key: PathInfoFixtures.key)
    try await checkPathInfoService(service)
    let info = PathInfoFixtures.symlink
    let signed = try await service.put(info)
    #expect(signed.signatures.map(\.description) == [PathInfoFixtures.symlinkSignature])
    #expect(try await service.put(signed) == signed)
    #expect(try await inner.get(info.storePath.digest) == signed)
  }
}

@Suite("Store paths as root names")
struct PathInfoRootTests {
  @Test("a name is compared whole, and other names are none")
  func names() async throws {
    let service = MemoryPathInfoService()
    let roots = PathInfoRootNodes(service)
    let info = PathInfoFixtures.symlink
    _ = try await service.put(info)
    let name = try PathComponent(PathInfoFixtures.dummyName)
    #expect(try await roots.node(named: name) == info.node)
    #expect(try roots.nodeLocal(named: name) == info.node)
    for text in [
      PathInfoFixtures.dummyName + "x", String(PathInfoFixtures.dummyName.dropLast()),
      String(PathInfoFixtures.dummyName.dropFirst()), "dummy",
      String(repeating: "0", count: 32) + "-", String(repeating: "u", count: 32) + "-dummy",
    ] {
      #expect(try await roots.node(named: PathComponent(text)) == nil)
      #expect(try roots.nodeLocal(named: PathComponent(text)) == nil)
    }
  }

  @Test("lists of names side by side keep what such a list promises")
  func combined() async throws {
    let named = MemoryRootNodes()
    let service = MemoryPathInfoService()
    let roots = CombinedRootNodes.combining([named, PathInfoRootNodes(service)])
    try await check(roots) { named.set($0.name, to: $0.node) }

    let local = try #require(roots as? any LocalRootNodes)
    var versions: Set<UInt64> = [try local.rootsVersion()]
    let info = PathInfoFixtures.symlink
    _ = try await service.put(info)
    versions.insert(try local.rootsVersion())
    #expect(try local.rootsVersion() == versions.max())
    let name = try PathComponent(PathInfoFixtures.dummyName)
    #expect(try await roots.node(named: name) == info.node)
    // The first list has its say, and the name comes once.
    let other = Node.symlink(target: "other")
    named.set(name, to: other)
    versions.insert(try local.rootsVersion())
    #expect(versions.count == 3)
    #expect(try await roots.node(named: name) == other)
    #expect(try local.nodeLocal(named: name) == other)
    var found: [Node] = []
    for try await entry in roots.list() where entry.name == name { found.append(entry.node) }
    #expect(found == [other])
  }

  private func check(
    _ roots: some RootNodes,
    _ set: (NamedNode) async throws -> Void
  ) async throws {
    try await checkRootNodes(roots, setting: set)
  }

  @Test("a list that is not at hand makes all of them wait")
  func remote() async throws {
    struct Remote: RootNodes {
      func node(named name: PathComponent) async throws(ServiceError) -> Node? { nil }
      func list() -> AsyncThrowingStream<NamedNode, any Error> { MemoryRootNodes().list() }
    }
    let roots = CombinedRootNodes.combining([MemoryRootNodes(), Remote()])
    #expect(!(roots is any LocalRootNodes))
  }
}
