import Castore
import CastoreTestSupport
import Testing

@Suite("Services in memory")
struct ServiceTests {
  @Test("blobs keep what every blob service promises")
  func blobs() async throws {
    try await checkBlobService(MemoryBlobService())
    try await checkLocalBlobAccess(MemoryBlobService())
  }

  @Test("directories keep what every directory service promises")
  func directories() async throws {
    try await checkDirectoryService { MemoryDirectoryService() }
    try await checkLocalDirectoryAccess(MemoryDirectoryService())
  }

  @Test("root names keep what every list of root names promises")
  func roots() async throws {
    let roots = MemoryRootNodes()
    try await checkRootNodes(roots) { roots.set($0.name, to: $0.node) }
    roots.set("one more", to: nil)
    #expect(try await roots.node(named: "one more") == nil)
  }

  @Test("a directory serves as a list of root names")
  func directoryAsRoots() async throws {
    let roots = DirectoryRootNodes(Fixtures.complicated.directory)
    var listed: [NamedNode] = []
    for try await entry in roots.list() { listed.append(entry) }
    #expect(listed == Fixtures.complicated.directory.entries)
    #expect(try await roots.node(named: "aa") == .symlink(target: "/nix/store/somewhereelse"))
    #expect(try await roots.node(named: "ab") == nil)
  }

  @Test("a missing child ends a recursive fetch with an error that names it")
  func missingChild() async throws {
    let service = MemoryDirectoryService()
    let root = Fixtures.complicated
    service.insert(root.directory)
    var received: [Directory] = []
    let error = await #expect(throws: ServiceError.self) {
      for try await directory in service.getRecursive(root.digest) { received.append(directory) }
    }
    #expect(error?.code == .notFound)
    #expect(error?.message.contains(Fixtures.withKeep.digest.description) == true)
    #expect(received == [root.directory])

    await #expect(throws: ServiceError.self) {
      try await service.descend(from: root.directory.node(), to: "keep/.keep")
    }
    #expect(throws: ServiceError.self) {
      try service.descendLocal(from: root.directory.node(), to: "keep/.keep")
    }
  }
}
