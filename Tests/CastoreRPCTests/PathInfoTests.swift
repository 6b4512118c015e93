import Castore
import CastoreComposition
import CastoreRPC
import CastoreTestSupport
import NixCompat
import NixStore
import NixTestSupport
import Platform
import Testing

extension NetworkTests {
  @Suite("Path infos over the wire")
  struct PathInfoTests {
    @Test("keep their promises, over TCP and over a Unix socket", arguments: [0, 1])
    func conformance(address: Int) async throws {
      let services = ServedServices(pathInfos: MemoryPathInfoService())
      try await Loopback.serving(services) { loopback in
        try await checkPathInfoService(
          GRPCPathInfoService(GRPCPeer(loopback.addresses[address]))
        )
      }
    }

    @Test("come back from a put with the signatures that the server added")
    func signing() async throws {
      let inner = MemoryPathInfoService()
      let signing = SigningPathInfoService(inner, key: PathInfoFixtures.key)
      try await Loopback.serving(ServedServices(pathInfos: signing)) { loopback in
        let service = GRPCPathInfoService(try GRPCPeer(loopback.addresses[1]))
        let signed = try await service.put(PathInfoFixtures.symlink)
        #expect(signed.signatures.map(\.description) == [PathInfoFixtures.symlinkSignature])
        #expect(try await inner.get(signed.storePath.digest) == signed)
      }
    }

    @Test("a server without them, and one that lets nobody write, say so")
    func refusals() async throws {
      let blobs = ServedServices(blobs: MemoryBlobService())
      let info = PathInfoFixtures.symlink
      try await Loopback.serving(blobs) { loopback in
        let service = GRPCPathInfoService(try GRPCPeer(loopback.addresses[0]))
        await expect(.unsupported) { _ = try await service.get(info.storePath.digest) }
        await expect(.unsupported) { for try await _ in service.list() {} }
      }
      let readOnly = ReadOnlyPathInfoService(MemoryPathInfoService())
      try await Loopback.serving(ServedServices(pathInfos: readOnly)) { loopback in
        let service = GRPCPathInfoService(try GRPCPeer(loopback.addresses[0]))
        #expect(try await service.get(info.storePath.digest) == nil)
        await expect(.permissionDenied) { _ = try await service.put(info) }
        await expect(.unsupported) { _ = try await service.calculateNAR(of: info.node) }
      }
    }

    @Test("NARs are computed at the server, and what is missing there is named")
    func calculation() async throws {
      let (blobs, directories) = (MemoryBlobService(), MemoryDirectoryService())
      for blob in Fixtures.blobs { blobs.insert(blob.bytes) }
      for known in Fixtures.directories { _ = try await directories.put(known.directory) }
      let calculator = CachingNARCalculator(
        RenderingNARCalculator(blobs: blobs, directories: directories)
      )
      let services = ServedServices(pathInfos: MemoryPathInfoService(), calculator: calculator)
      try await Loopback.serving(services) { loopback in
        let service = GRPCPathInfoService(try GRPCPeer(loopback.addresses[0]))
        for fixture in NARFixtures.all {
          let summary = try await service.calculateNAR(of: fixture.node)
          #expect(summary == NARSummary(size: fixture.size, sha256: fixture.sha256))
        }
        let missing: [Node] = [
          .directory(digest: Fixtures.dummyDigest, size: 0),
          .file(digest: Fixtures.dummyDigest, size: 5, isExecutable: false),
        ]
        for node in missing {
          await expect(.notFound) { _ = try await service.calculateNAR(of: node) }
        }
        let wrong = Node.file(digest: Fixtures.helloWorld.digest, size: 42, isExecutable: false)
        await expect(.io) { _ = try await service.calculateNAR(of: wrong) }
      }
    }

    @Test("a calculation that nobody waits for any more is given up")
    func abandoned() async throws {
      let calculator = EndlessCalculator()
      let services = ServedServices(pathInfos: MemoryPathInfoService(), calculator: calculator)
      try await Loopback.serving(services) { loopback in
        let service = GRPCPathInfoService(try GRPCPeer(loopback.addresses[1]))
        let call = Task { try await service.calculateNAR(of: PathInfoFixtures.symlink.node) }
        await calculator.began.first { _ in true }
        call.cancel()
        await #expect(throws: ServiceError.self) { _ = try await call.value }
        await calculator.ended.first { _ in true }
      }
    }

    @Test("a server that answers with another path info is found out")
    func lies() async throws {
      try await Loopback.serving(ServedServices(pathInfos: LyingPathInfoService())) { loopback in
        let peer = try GRPCPeer(loopback.addresses[0])
        let service = GRPCPathInfoService(peer)
        let info = PathInfoFixtures.full
        await expect(.corrupt, peer.name) { _ = try await service.get(info.storePath.digest) }
        await expect(.corrupt, peer.name) { _ = try await service.put(info) }
      }
    }

    @Test("a failing store is no NOT_FOUND, and ends a list")
    func failing() async throws {
      try await Loopback.serving(ServedServices(pathInfos: FailingPathInfoService())) { loopback in
        let service = GRPCPathInfoService(try GRPCPeer(loopback.addresses[0]))
        await expect(.io) { _ = try await service.get(PathInfoFixtures.dummyPath.digest) }
        var count = 0
        do {
          for try await _ in service.list() { count += 1 }
          Issue.record("the list ended without an error")
        } catch {
          #expect((error as? ServiceError)?.code == .io)
        }
        #expect(count == 1)
      }
    }

    private func expect(
      _ code: ServiceError.Code,
      _ words: String = "",
      _ body: () async throws -> Void
    ) async {
      do {
        try await body()
        Issue.record("no error")
      } catch {
        let error = error as? ServiceError
        #expect(error?.code == code, "\(String(describing: error))")
        #expect(error?.message.contains(words) ?? false || words.isEmpty)
      }
    }
  }
}

/// Computes until it is cancelled.
private final class EndlessCalculator: NARCalculator {
  let (began, hasBegun) = AsyncStream.makeStream(of: Void.self)
  let (ended, hasEnded) = AsyncStream.makeStream(of: Void.self)

  func calculateNAR(of node: Node) async throws(ServiceError) -> NARSummary {
    hasBegun.yield()
    defer { hasEnded.yield() }
    try? await Task.sleep(for: .seconds(3600))
    throw ServiceError(.cancelled, "nobody waits")
  }
}

/// Knows one path info, by every name.
private struct LyingPathInfoService: PathInfoService {
  func get(_ digest: StorePathDigest) async throws(ServiceError) -> PathInfo? {
    PathInfoFixtures.symlink
  }

  func put(_ info: PathInfo) async throws(ServiceError) -> PathInfo { PathInfoFixtures.symlink }

  func list() -> AsyncThrowingStream<PathInfo, any Error> { MemoryPathInfoService().list() }
}

/// Has a broken disk.
private struct FailingPathInfoService: PathInfoService {
  private let failure = ServiceError(.corrupt, "the disk is broken")

  func get(_ digest: StorePathDigest) async throws(ServiceError) -> PathInfo? { throw failure }

  func put(_ info: PathInfo) async throws(ServiceError) -> PathInfo { throw failure }

  func list() -> AsyncThrowingStream<PathInfo, any Error> {
    AsyncThrowingStream { continuation in
      continuation.yield(PathInfoFixtures.symlink)
      continuation.finish(throwing: failure)
    }
  }
}
