import Castore
import CastoreComposition
import CastoreRPC
import CastoreTestSupport
import Platform
import Testing

extension NetworkTests {
  @Suite("Parts of long blobs")
  struct RangeTests {
    private static let size = (24 << 20) + 12_345
    // All that is not the blob: settings, headers, windows, chaining values.
    private static let overhead: UInt64 = 256 << 10
    private static let bytes: [UInt8] = {
      var random = SeededGenerator(seed: 7)
      let page = random.bytes(64 << 10)
      var bytes: [UInt8] = []
      bytes.reserveCapacity(size)
      while bytes.count < size { bytes += page }
      for index in stride(from: 0, to: size, by: 4096) {
        bytes[index] = UInt8(truncatingIfNeeded: index >> 12)
      }
      return [UInt8](bytes[..<size])
    }()

    private static func expected(_ offset: Int, _ count: Int) -> [UInt8] {
      [UInt8](bytes[offset..<min(size, offset + count)])
    }

    private struct Setting: Sendable {
      var near = MemoryBlobService()
      var cache: CachingBlobService
      var digest: B3Digest
      var proxy: CountingProxy
    }

    /// Serves the bytes, and puts a cache in front of them at the other end of a wire.
    private static func cached(
      _ offersRanges: Bool = true,
      _ body: (Setting) async throws -> Void
    ) async throws {
      let blobs = MemoryBlobService()
      let digest = blobs.insert(bytes)
      var options = ServerOptions()
      options.offersRanges = offersRanges
      try await Loopback.serving(ServedServices(blobs: blobs), options: options) { loopback in
        guard case .unix(let path) = loopback.addresses[1] else { return }
        let proxy = try CountingProxy(to: path)
        let near = MemoryBlobService()
        let cache = CachingBlobService(
          near: near,
          far: GRPCBlobService(try GRPCPeer(.unix(path: proxy.path))),
          wholeLimit: 4 << 20
        )
        try await body(Setting(near: near, cache: cache, digest: digest, proxy: proxy))
      }
    }

    @Test(
      "a blob crosses the wire once, whatever its readers do",
      arguments: [true, false]
    )
    func once(offersRanges: Bool) async throws {
      try await Self.cached(offersRanges) { setting in
        let (cache, digest) = (setting.cache, setting.digest)
        try await withThrowingTaskGroup(of: Void.self) { group in
          for number in 0..<6 {
            group.addTask {
              var random = SeededGenerator(seed: UInt64(number))
              let reader = try #require(try await cache.openRead(digest))
              for step in 0..<20 {
                // From the start, from the end, and anywhere.
                let offset =
                  switch number % 3 {
                  case 0: step * 100_000
                  case 1: Self.size - 1 - step * 1_000_000
                  default: Int.random(in: 0..<Self.size, using: &random)
                  }
                let bytes = try await reader.read(at: UInt64(offset), count: 70_000)
                #expect(bytes == Self.expected(offset, 70_000))
                if step % 5 == number { try await Task.sleep(for: .milliseconds(10)) }
              }
            }
          }
          try await group.waitForAll()
        }
        let reader = try #require(try await cache.openRead(digest))
        for offset in stride(from: 0, to: Self.size, by: 1 << 20) {
          let bytes = try await reader.read(at: UInt64(offset), count: 1 << 20)
          #expect(bytes == Self.expected(offset, 1 << 20))
        }
        await cache.settle()
        #expect(try await setting.near.has(digest))
        #expect(try await reader.read(at: 77, count: 5) == Self.expected(77, 5))
        let sent = setting.proxy.bytesSent
        #expect(sent >= UInt64(Self.size) && sent < UInt64(Self.size) + Self.overhead)
      }
    }

    @Test("what was fetched for a reader that is gone need not come again")
    func resumed() async throws {
      try await Self.cached { setting in
        for _ in 0..<8 {
          let reader = try #require(try await setting.cache.openRead(setting.digest))
          #expect(try await reader.read(at: 20 << 20, count: 9) == Self.expected(20 << 20, 9))
        }
        let reader = try #require(try await setting.cache.openRead(setting.digest))
        _ = try await reader.read(at: 0, count: Self.size)
        await setting.cache.settle()
        #expect(try await setting.near.has(setting.digest))
        #expect(setting.proxy.bytesSent < UInt64(Self.size) + Self.overhead)
      }
    }

    @Test("any offset is reached directly, without a cache too")
    func direct() async throws {
      let blobs = MemoryBlobService()
      let digest = blobs.insert(Self.bytes)
      try await Loopback.serving(ServedServices(blobs: blobs)) { loopback in
        guard case .unix(let path) = loopback.addresses[1] else { return }
        let proxy = try CountingProxy(to: path)
        let service = GRPCBlobService(try GRPCPeer(.unix(path: proxy.path)))
        let reader = try #require(try await service.openRead(digest))
        #expect(reader.size == UInt64(Self.size))
        for offset in [23 << 20, 4 << 20, 12 << 20, 3, Self.size - 4] {
          let bytes = try await reader.read(at: UInt64(offset), count: 5000)
          #expect(bytes == Self.expected(offset, 5000))
        }
        // The head, and the MiB around each offset.
        #expect(proxy.bytesSent < 7 << 20)
      }
    }

    @Test(
      "wrong bytes and parts that do not make up the blob are refused",
      arguments: [true, false]
    )
    func lies(isWholeWrong: Bool) async throws {
      let digest = B3Digest(hashing: isWholeWrong ? [1] : Self.bytes)
      var wrong = Self.bytes
      wrong[wrong.count - 1] ^= 1
      let blobs = LyingLocalBlobs(bytes: wrong)
      try await Loopback.serving(ServedServices(blobs: blobs)) { loopback in
        let peer = try GRPCPeer(loopback.addresses[1])
        await #expect {
          let reader = try await GRPCBlobService(peer).openRead(digest)
          _ = try await reader?.read(at: 0, count: Self.size)
        } throws: { ($0 as? ServiceError)?.code == .corrupt }
      }
    }

    @Test("a blob that the server has elsewhere is read in order")
    func notAtHand() async throws {
      let blobs = PatternBlobService(size: 6 << 20)
      try await Loopback.serving(ServedServices(blobs: blobs)) { loopback in
        let service = GRPCBlobService(try GRPCPeer(loopback.addresses[0]))
        let reader = try #require(try await service.openRead(blobs.digest))
        let bytes = try await reader.read(at: 5 << 20, count: 4096)
        #expect(bytes == PatternBlobService.bytes(at: 5 << 20, count: 4096))
      }
      #expect(try await ReadOnlyBlobService(MemoryBlobService()).openRead(blobs.digest) == nil)
    }

    @Test("a fetch that fails is an error for who waits, and is tried again by who comes later")
    func failing() async throws {
      let far = FlakyBlobs(bytes: Self.bytes)
      let near = MemoryBlobService()
      let cache = CachingBlobService(near: near, far: far, wholeLimit: 1 << 20)
      let digest = B3Digest(hashing: Self.bytes)
      let reader = try #require(try await cache.openRead(digest))
      #expect(try await reader.read(at: 0, count: 10) == Self.expected(0, 10))
      far.isBroken.withLock { $0 = true }
      await #expect(throws: ServiceError.self) {
        for offset in stride(from: 0, to: Self.size, by: 1 << 20) {
          _ = try await reader.read(at: UInt64(offset), count: 10)
        }
      }
      far.isBroken.withLock { $0 = false }
      #expect(try await reader.read(at: 0, count: Self.size) == Self.bytes)
      await cache.settle()
      #expect(try await near.has(digest))
    }
  }
}

/// Says of every digest that it has it, and gives other bytes.
private struct LyingLocalBlobs: BlobService, LocalBlobAccess {
  let honest = MemoryBlobService()
  let digest: B3Digest

  init(bytes: [UInt8]) { digest = honest.insert(bytes) }

  var isComplete: Bool { true }
  func has(_ digest: B3Digest) async throws(ServiceError) -> Bool { true }
  func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? {
    try await honest.openRead(self.digest)
  }
  func openWrite() async throws(ServiceError) -> any BlobWriter { try await honest.openWrite() }
  func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? { [] }
  func holdsLocal(_ digest: B3Digest) throws(ServiceError) -> Bool { true }
  func sizeLocal(_ digest: B3Digest) throws(ServiceError) -> UInt64? {
    try honest.sizeLocal(self.digest)
  }
  func withBytesLocal(
    _ digest: B3Digest,
    _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(ServiceError) -> Bool { try honest.withBytesLocal(self.digest, body) }
  func readLocal(
    _ digest: B3Digest,
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(ServiceError) -> Int? { try honest.readLocal(self.digest, at: offset, into: buffer) }
  func openLocalFile(_ digest: B3Digest) throws(ServiceError) -> OwnedDescriptor? { nil }
}

/// Cannot be read for a time.
private struct FlakyBlobs: BlobService {
  let bytes: [UInt8]
  let isBroken = Guarded(false)

  func has(_ digest: B3Digest) async throws(ServiceError) -> Bool { true }
  func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? {
    let blobs = MemoryBlobService()
    guard let reader = try await blobs.openRead(blobs.insert(bytes)) else { return nil }
    return Reader(inner: reader, isBroken: isBroken)
  }
  func openWrite() async throws(ServiceError) -> any BlobWriter {
    throw ServiceError(.unsupported, "no writing")
  }
  func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? { [] }

  private struct Reader: BlobReader {
    let inner: any BlobReader
    let isBroken: Guarded<Bool>

    var size: UInt64 { inner.size }

    func read(at offset: UInt64, count: Int) async throws(ServiceError) -> [UInt8] {
      try? await Task.sleep(for: .milliseconds(5))
      if isBroken.withLock({ $0 }) { throw ServiceError(.unavailable, "nobody is there") }
      return try await inner.read(at: offset, count: count)
    }
  }
}
