import Castore
import CastoreStorage
import CastoreTestSupport
import Testing

@Suite("What every service promises, of the local store")
struct ConformanceTests {
  let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private func makeStore(_ name: String = "s") throws -> LocalStore {
    try LocalStore(path: folder.sub(name), create: true)
  }

  @Test("blobs")
  func blobs() async throws {
    try await checkBlobService(try makeStore())
    try await checkLocalBlobAccess(try makeStore("local"))
  }

  @Test("blobs, with reads verified")
  func verifiedBlobs() async throws {
    try await checkBlobService(
      try LocalStore(path: folder.sub("s"), create: true, verifyReads: true)
    )
  }

  @Test("directories")
  func directories() async throws {
    var count = 0
    try await checkDirectoryService {
      count += 1
      return try makeStore("s\(count)")
    }
    try await checkLocalDirectoryAccess(try makeStore("local"))
  }

  @Test("roots")
  func roots() async throws {
    let store = try makeStore()
    for blob in Fixtures.blobs { _ = try store.put(blob.bytes) }
    for known in Fixtures.directories { _ = try await store.put(known.directory) }
    try await checkRootNodes(store) { root in try store.setRoot(root.name, to: root.node) }
  }
}
