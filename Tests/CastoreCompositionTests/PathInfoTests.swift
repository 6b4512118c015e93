import Castore
import CastoreComposition
import CastoreTestSupport
import Foundation
import NixCompat
import NixStore
import NixTestSupport
import Platform
import Testing

@Suite("Path infos of several services")
struct PathInfoTests {
  private func compose(_ toml: String) async throws -> (any PathInfoService)? {
    let file = try CompositionFile(toml: toml, name: "test.toml")
    return try await Composition(file).entry().pathInfos
  }

  @Test(
    "keep what a path info service promises",
    arguments: ["cache", "lru", "signing", "memory:"]
  )
  func conformance(kind: String) async throws {
    let folder = try TestFolder()
    let key = folder.sub("key")
    try "\n \(PathInfoFixtures.keyText) \n".write(toFile: key, atomically: true, encoding: .utf8)
    let text =
      switch kind {
      case "cache": "type = \"cache\"\nnear = \"lru\"\nfar = \"memory:\""
      case "lru": "type = \"lru\"\ncapacity = 10000"
      case "signing": "type = \"keyfile-signing\"\ninner = \"memory:\"\nkeyfile = \"\(key)\""
      default: "type = \"cache\"\nnear = \"memory:\"\nfar = \"memory:\""
      }
    let lru = "[pathinfoservices.lru]\ntype = \"lru\"\ncapacity = 2\n"
    let service = try #require(
      try await compose("\(lru)[pathinfoservices.root]\n\(text)")
    )
    try await checkPathInfoService(service)
    if kind == "signing" {
      let signed = try await service.put(PathInfoFixtures.symlink)
      #expect(signed.signatures.map(\.description) == [PathInfoFixtures.symlinkSignature])
    }
  }

  @Test("a cache fills the near side, and a near side that fails is passed by")
  func cache() async throws {
    let (near, far) = (MemoryPathInfoService(), CountingPathInfoService())
    let cache = CachingPathInfoService(near: near, far: far)
    let info = PathInfoFixtures.symlink
    _ = try await far.inner.put(info)
    #expect(try await cache.get(info.storePath.digest) == info)
    #expect(try await cache.get(info.storePath.digest) == info)
    #expect(try await near.get(info.storePath.digest) == info)
    #expect(far.gets == 1)

    let failing = CachingPathInfoService(near: FailingPathInfoService(), far: far)
    #expect(try await failing.get(info.storePath.digest) == info)
    #expect(try await failing.put(info) == info)
    let lost = CachingPathInfoService(near: near, far: FailingPathInfoService())
    #expect(try await lost.get(info.storePath.digest) == info)
    await #expect(throws: ServiceError.self) { try await lost.put(info) }
    await #expect(throws: ServiceError.self) {
      try await lost.get(PathInfoFixtures.full.storePath.digest)
    }
  }

  @Test("what is missing is not asked for again at once, until it is put")
  func missing() async throws {
    let far = CountingPathInfoService()
    let cache = CachingPathInfoService(
      near: MemoryPathInfoService(),
      far: far,
      negativeDuration: .seconds(3600)
    )
    let info = PathInfoFixtures.full
    for _ in 0..<3 { #expect(try await cache.get(info.storePath.digest) == nil) }
    #expect(far.gets == 1)
    #expect(try await cache.put(info) == info)
    #expect(try await cache.get(info.storePath.digest) == info)
    #expect(far.gets == 1)
  }

  @Test("many who want one at the same time fetch it once")
  func together() async throws {
    let far = CountingPathInfoService(delay: .milliseconds(200))
    let cache = CachingPathInfoService(near: MemoryPathInfoService(), far: far)
    let info = PathInfoFixtures.full
    _ = try await far.inner.put(info)
    try await withThrowingTaskGroup(of: PathInfo?.self) { group in
      for _ in 0..<50 { group.addTask { try await cache.get(info.storePath.digest) } }
      for try await found in group { #expect(found == info) }
    }
    #expect(far.gets == 1)
  }

  @Test("of a number that is limited, the one longest unused goes")
  func lru() async throws {
    let service = LRUPathInfoService(capacity: 1)
    _ = try await service.put(PathInfoFixtures.symlink)
    _ = try await service.put(PathInfoFixtures.full)
    #expect(try await service.get(PathInfoFixtures.symlink.storePath.digest) == nil)
    #expect(
      try await service.get(PathInfoFixtures.full.storePath.digest) == PathInfoFixtures.full
    )
  }

  @Test(
    "what is wrong with a file is told",
    arguments: [
      ("[pathinfoservices.root]\ntype = \"nothing\"", "unknown type \"nothing\""),
      ("[pathinfoservices.root]\ntype = \"lru\"", "capacity"),
      ("[pathinfoservices.root]\ntype = \"lru\"\ncapacity = 0", "at least 1"),
      ("[pathinfoservices.root]\ntype = \"memory\"\nx = 1", "unknown field \"x\""),
      ("[pathinfoservices.x]\ntype = \"memory\"", "none called root"),
      ("[pathinfoservices.root]\ntype = \"signing\"\ninner = \"memory:\"", "keyfile"),
      (
        "[pathinfoservices.root]\ntype = \"signing\"\ninner = \"memory:\"\nkeyfile = \"/nowhere\"",
        "cannot be read"
      ),
      (
        "[pathinfoservices.root]\ntype = \"signing\"\ninner = \"memory:\"\nkeyfile = \"/dev/null\"",
        "holds no secret key"
      ),
      (
        "[pathinfoservices.root]\ntype = \"readonly\"\ninner = \"root\"",
        "root -> root"
      ),
      (
        "[pathinfoservices.root]\ntype = \"cache\"\nnear = \"a\"\nfar = \"memory:\"",
        "no [pathinfoservices.a], which \"root\" refers to"
      ),
    ]
  )
  func mistakes(toml: String, complaint: String) async throws {
    await #expect {
      _ = try await compose(toml)
    } throws: { error in
      let message = (error as? ServiceError)?.message ?? ""
      if !message.contains(complaint) { Issue.record("\(message)") }
      return message.contains(complaint)
    }
  }
}

/// Counts how often somebody asks.
private final class CountingPathInfoService: PathInfoService {
  let inner = MemoryPathInfoService()
  private let count = Guarded(0)
  private let delay: Duration

  init(delay: Duration = .zero) {
    self.delay = delay
  }

  var gets: Int { count.withLock { $0 } }

  func get(_ digest: StorePathDigest) async throws(ServiceError) -> PathInfo? {
    count.withLock { $0 += 1 }
    try? await Task.sleep(for: delay)
    return try await inner.get(digest)
  }

  func put(_ info: PathInfo) async throws(ServiceError) -> PathInfo { try await inner.put(info) }

  func list() -> AsyncThrowingStream<PathInfo, any Error> { inner.list() }
}

/// Cannot be reached.
private struct FailingPathInfoService: PathInfoService {
  private let failure = ServiceError(.unavailable, "nobody is there")

  func get(_ digest: StorePathDigest) async throws(ServiceError) -> PathInfo? { throw failure }

  func put(_ info: PathInfo) async throws(ServiceError) -> PathInfo { throw failure }

  func list() -> AsyncThrowingStream<PathInfo, any Error> {
    AsyncThrowingStream { throw failure }
  }
}
