import Castore
import CastoreRPC
import Platform
import Testing

extension NetworkTests {
  @Suite("Nobody runs ahead of the other side")
  struct BackpressureTests {
    // What may be on its way: windows, a few messages at each end, the sockets' buffers.
    private static let allowance: UInt64 = 20 << 20

    @Test("a server reads no more of a blob than its client takes")
    func reading() async throws {
      let furthest = Guarded<UInt64>(0)
      var blobs = PatternBlobService(size: 64 << 20)
      blobs.beforeRead = { offset in furthest.withLock { $0 = max($0, offset) } }
      let served = blobs
      try await Loopback.serving(ServedServices(blobs: served)) { loopback in
        for address in loopback.addresses {
          furthest.withLock { $0 = 0 }
          let service = GRPCBlobService(try GRPCPeer(address))
          let reader = try #require(try await service.openRead(served.digest))
          #expect(try await reader.read(at: 0, count: 1).count == 1)
          try await Task.sleep(for: .milliseconds(300))
          #expect(furthest.withLock { $0 } < Self.allowance)
          let end = try await reader.read(at: served.size - 5, count: 10)
          #expect(end == PatternBlobService.bytes(at: served.size - 5, count: 5))
        }
      }
    }

    @Test("a client reads no more than its server stores")
    func writing() async throws {
      let sink = StallingBlobService()
      try await Loopback.serving(ServedServices(blobs: sink)) { loopback in
        let service = GRPCBlobService(try GRPCPeer(loopback.addresses[0]))
        let writer = try await service.openWrite()
        let accepted = Guarded<UInt64>(0)
        let piece = [UInt8](repeating: 1, count: 1 << 20)
        let writing = Task {
          for _ in 0..<64 {
            try await writer.write(piece)
            accepted.withLock { $0 += UInt64(piece.count) }
          }
          return try await writer.close()
        }
        try await Task.sleep(for: .milliseconds(500))
        let soFar = accepted.withLock { $0 }
        #expect(soFar < Self.allowance)
        sink.goOn()
        let digest = try await writing.value
        #expect(digest == B3Digest(hashing: [UInt8](repeating: 1, count: 64 << 20)))
      }
    }

    @Test("more big blobs may be open than there are streams")
    func manyOpen() async throws {
      let blobs = PatternBlobService(size: 3 << 20)
      try await Loopback.serving(ServedServices(blobs: blobs)) { loopback in
        let service = GRPCBlobService(try GRPCPeer(loopback.addresses[1]))
        var readers: [any BlobReader] = []
        for _ in 0..<60 {
          readers.append(try #require(try await service.openRead(blobs.digest)))
        }
        for reader in readers + readers.reversed() {
          let bytes = try await reader.read(at: 2 << 20, count: 9000)
          #expect(bytes == PatternBlobService.bytes(at: 2 << 20, count: 9000))
        }
      }
    }
  }
}

/// Takes nothing before it is told to.
private struct StallingBlobService: BlobService {
  private let gate = AsyncStream.makeStream(of: Void.self)

  func goOn() { gate.continuation.finish() }

  func has(_ digest: B3Digest) async throws(ServiceError) -> Bool { false }
  func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? { nil }
  func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? { nil }

  func openWrite() async throws(ServiceError) -> any BlobWriter {
    for await _ in gate.stream {}
    return try await MemoryBlobService().openWrite()
  }
}
