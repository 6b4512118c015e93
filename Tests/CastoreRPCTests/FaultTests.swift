import Castore
import CastoreRPC
import CastoreTestSupport
import Foundation
import Platform
import Testing

extension NetworkTests {
  @Suite("What goes wrong on the way")
  struct FaultTests {
    private static let big: UInt64 = 6 << 20

    @Test(
      "a server killed mid-read is an error in bounded time, and reading goes on when it is back"
    )
    func killed() async throws {
      // More than what may be on its way.
      let blobs = PatternBlobService(size: 24 << 20)
      let path = NSTemporaryDirectory() + "castore-\(UUID().uuidString).sock"
      let peer = try GRPCPeer(.unix(path: path), options: .impatient)
      let service = GRPCBlobService(peer)

      await #expect(throws: ServiceError.self) { try await service.has(blobs.digest) }

      func start() throws -> Task<Void, any Error> {
        let server = try CastoreServer(ServedServices(blobs: blobs), on: [.unix(path: path)])
        return Task { try await server.run() }
      }
      var running = try start()
      var patient = PeerOptions.impatient
      patient.attempts = 20
      let reader = try #require(
        try await GRPCBlobService(GRPCPeer(.unix(path: path), options: patient))
          .openRead(blobs.digest)
      )
      #expect(reader.size == blobs.size)
      #expect(
        try await reader.read(at: 0, count: 100) == PatternBlobService.bytes(at: 0, count: 100)
      )

      running.cancel()
      _ = try? await running.value
      // What is on its way may still be read; the end cannot be.
      await #expect {
        _ = try await reader.read(at: blobs.size - 10, count: 10)
      } throws: { error in
        let error = error as? ServiceError
        return error?.code == .unavailable && error?.message.contains(path) == true
      }

      running = try start()
      let end = try await reader.read(at: blobs.size - 10, count: 10)
      #expect(end == PatternBlobService.bytes(at: blobs.size - 10, count: 10))
      running.cancel()
      _ = try? await running.value
    }

    @Test("wrong bytes are an error that names the server", arguments: [10, 3 << 20])
    func wrongBytes(size: Int) async throws {
      let wrong = [UInt8](repeating: 1, count: size)
      for isDivided in [false, true] {
        var lying = LyingBlobService(bytes: wrong)
        let digest = B3Digest(hashing: [2, 3])
        if isDivided {
          lying.listedChunks = [
            ChunkMeta(digest: B3Digest(hashing: [2]), size: UInt64(size)),
            ChunkMeta(digest: B3Digest(hashing: [3]), size: 1),
          ]
        }
        try await Loopback.serving(ServedServices(blobs: lying)) { loopback in
          for address in loopback.addresses {
            let peer = try GRPCPeer(address)
            await #expect {
              let reader = try await GRPCBlobService(peer).openRead(digest)
              var offset: UInt64 = 0
              while let more = try await reader?.read(at: offset, count: 1 << 20), !more.isEmpty {
                offset += UInt64(more.count)
              }
            } throws: { error in
              let error = error as? ServiceError
              return error?.code == .corrupt && error?.message.contains(peer.name) == true
            }
          }
        }
      }
    }

    @Test("chunks that are right but not the blob's are found out at its end")
    func wrongChunkList() async throws {
      var blobs = PatternBlobService(size: Self.big)
      blobs.divide(into: 256 * 1024)
      let right = blobs
      blobs.listedChunks.swapAt(3, 4)
      try await Loopback.serving(ServedServices(blobs: blobs)) { loopback in
        let reader = try #require(
          try await GRPCBlobService(GRPCPeer(loopback.addresses[1])).openRead(right.digest)
        )
        await #expect(throws: ServiceError.self) {
          var offset: UInt64 = 0
          while offset < reader.size {
            offset += UInt64(try await reader.read(at: offset, count: 1 << 20).count)
          }
        }
      }
    }

    @Test("a server that stalls is an error in bounded time")
    func stall() async throws {
      var blobs = PatternBlobService(size: Self.big)
      blobs.beforeRead = { offset async throws(ServiceError) in
        guard offset > 0 else { return }
        do { try await Task.sleep(for: .seconds(3600)) } catch {
          throw ServiceError(.cancelled, "the stalled read was cancelled")
        }
      }
      let stalling = blobs
      try await Loopback.serving(ServedServices(blobs: stalling)) { loopback in
        let peer = try GRPCPeer(loopback.addresses[0], options: .impatient)
        await #expect {
          _ = try await GRPCBlobService(peer).openRead(stalling.digest)
        } throws: { ($0 as? ServiceError)?.code == .unavailable }
      }
    }

    @Test("a slow reader holds up itself only")
    func slowReader() async throws {
      let blobs = PatternBlobService(size: 24 << 20)
      try await Loopback.serving(ServedServices(blobs: blobs)) { loopback in
        let service = GRPCBlobService(try GRPCPeer(loopback.addresses[0], options: .impatient))
        let slow = try #require(try await service.openRead(blobs.digest))
        let quick = try #require(try await service.openRead(blobs.digest))
        #expect(try await slow.read(at: 0, count: 10).count == 10)
        // Longer than the stall limit: the reader waits, not the server.
        try await Task.sleep(for: .milliseconds(2600))
        #expect(try await quick.read(at: blobs.size - 1, count: 10).count == 1)
        let end = try await slow.read(at: blobs.size - 20, count: 20)
        #expect(end == PatternBlobService.bytes(at: blobs.size - 20, count: 20))
      }
    }

    @Test("parts of a big blob, in any order, from several tasks", arguments: [0, 300_000])
    func anyOrder(chunkSize: UInt64) async throws {
      var blobs = PatternBlobService(size: 12 << 20)
      if chunkSize > 0 { blobs.divide(into: chunkSize) }
      let served = blobs
      try await Loopback.serving(ServedServices(blobs: served)) { loopback in
        let service = GRPCBlobService(try GRPCPeer(loopback.addresses[1]))
        let reader = try #require(try await service.openRead(served.digest))
        try await withThrowingTaskGroup(of: Bool.self) { group in
          for place in [0, 11 << 20, 5 << 20, 4095, (12 << 20) - 7, 300_000 - 3] as [UInt64] {
            group.addTask {
              let bytes = try await reader.read(at: place, count: 10_000)
              let count = Int(min(10_000, served.size - place))
              return bytes == PatternBlobService.bytes(at: place, count: count)
            }
          }
          for try await isRight in group { #expect(isRight) }
        }
      }
    }

    @Test("an upload that is abandoned or broken off is not kept")
    func brokenUpload() async throws {
      let blobs = MemoryBlobService()
      let bytes = PatternBlobService.bytes(at: 0, count: 3 << 20)
      try await Loopback.serving(ServedServices(blobs: blobs)) { loopback in
        let service = GRPCBlobService(try GRPCPeer(loopback.addresses[0]))
        for isAbandoned in [true, false] {
          var writer: (any BlobWriter)? = try await service.openWrite()
          try await writer?.write(bytes)
          if isAbandoned { await writer?.abandon() }
          writer = nil
        }
        // Whole messages of it arrived, so look for every blob that they would make.
        try await Task.sleep(for: .milliseconds(100))
        for count in stride(from: 512 << 10, through: bytes.count, by: 512 << 10) {
          #expect(try await !blobs.has(B3Digest(hashing: [UInt8](bytes[..<count]))))
        }
      }
    }

    @Test("a root whose removal is tried again, because the answer was lost, was there")
    func repeatedRemoval() async throws {
      let roots = ForgetfulRootNodes()
      _ = try await roots.putRoot("name", .symlink(target: "x"), replace: false)
      try await Loopback.serving(ServedServices(roots: roots)) { loopback in
        let client = GRPCRootNodes(try GRPCPeer(loopback.addresses[1], options: .impatient))
        #expect(try await client.dropRoot("name"))
        #expect(try await !client.dropRoot("name"))
      }
    }

    @Test("10,000 small gets at once")
    func manyGets() async throws {
      let blobs = MemoryBlobService()
      let digests = (0..<100).map { blobs.insert([UInt8]("small blob \($0)".utf8)) }
      try await Loopback.serving(ServedServices(blobs: blobs)) { loopback in
        let service = GRPCBlobService(try GRPCPeer(loopback.addresses[1]))
        try await withThrowingTaskGroup(of: Bool.self) { group in
          for number in 0..<10_000 {
            group.addTask {
              let reader = try await service.openRead(digests[number % 100])
              let bytes = try await reader?.read(at: 0, count: 100)
              return bytes == [UInt8]("small blob \(number % 100)".utf8)
            }
          }
          for try await isRight in group where !isRight { Issue.record("wrong bytes") }
        }
      }
    }
  }
}

/// Does what it is asked to, and cannot tell of it the first time.
private struct ForgetfulRootNodes: RootRegistry {
  private let inner = MemoryRootNodes()
  private let answers = Guarded(0)

  func node(named name: PathComponent) async throws(ServiceError) -> Node? {
    try await inner.node(named: name)
  }

  func list() -> AsyncThrowingStream<NamedNode, any Error> { inner.list() }

  func putRoot(
    _ name: PathComponent,
    _ node: Node,
    replace: Bool
  ) async throws(ServiceError) -> Node? {
    try await inner.putRoot(name, node, replace: replace)
  }

  func dropRoot(_ name: PathComponent) async throws(ServiceError) -> Bool {
    let wasThere = try await inner.dropRoot(name)
    let isFirst = answers.withLock { answers in
      answers += 1
      return answers == 1
    }
    if isFirst { throw ServiceError(.unavailable, "the connection broke") }
    return wasThere
  }
}
