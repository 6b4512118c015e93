import BLAKE3
import Castore
import Platform

/// A service with one blob that is never in memory: its bytes follow from their offsets.
struct PatternBlobService: BlobService {
  let digest: B3Digest
  let size: UInt64
  /// The chunks it tells of; none by default.
  var listedChunks: [ChunkMeta] = []
  /// Called before every read of a reader, with the offset.
  var beforeRead: @Sendable (UInt64) async throws(ServiceError) -> Void = {
    (_) async throws(ServiceError) in
  }
  /// What is written is hashed and counted, not kept.
  let written = Guarded<UInt64>(0)

  // Hashing takes long in a debug build.
  private static let digests = Guarded<[UInt64: B3Digest]>([:])

  init(size: UInt64) {
    self.size = size
    if let known = Self.digests.withLock({ $0[size] }) {
      digest = known
      return
    }
    var hasher = BLAKE3.Hasher()
    var offset: UInt64 = 0
    while offset < size {
      let bytes = Self.bytes(at: offset, count: Int(min(size - offset, 1 << 20)))
      hasher.update(bytes)
      offset += UInt64(bytes.count)
    }
    let digest = B3Digest(hasher.finalize())
    self.digest = digest
    Self.digests.withLock { $0[size] = digest }
  }

  /// The bytes at an offset: 4 KiB blocks, each with its number in front.
  static func bytes(at offset: UInt64, count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0x5a, count: count)
    var block = offset / 4096
    while block * 4096 < offset + UInt64(count) {
      for index in 0..<8 {
        let place = block * 4096 + UInt64(index)
        guard place >= offset, place < offset + UInt64(count) else { continue }
        bytes[Int(place - offset)] = UInt8(truncatingIfNeeded: block >> (8 * UInt64(index)))
      }
      block += 1
    }
    return bytes
  }

  func has(_ digest: B3Digest) async throws(ServiceError) -> Bool { digest == self.digest }

  func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? {
    if digest == self.digest { return Reader(size: size, beforeRead: beforeRead) }
    var offset: UInt64 = 0
    for chunk in listedChunks {
      if chunk.digest == digest {
        return Reader(start: offset, size: chunk.size, beforeRead: beforeRead)
      }
      offset += chunk.size
    }
    return nil
  }

  func openWrite() async throws(ServiceError) -> any BlobWriter { Writer(written: written) }

  func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? {
    digest == self.digest ? listedChunks : nil
  }

  /// Divides the blob into chunks of a size.
  mutating func divide(into chunkSize: UInt64) {
    var offset: UInt64 = 0
    while offset < size {
      let bytes = Self.bytes(at: offset, count: Int(min(chunkSize, size - offset)))
      let digest = B3Digest(hashing: bytes)
      listedChunks.append(ChunkMeta(digest: digest, size: UInt64(bytes.count)))
      offset += UInt64(bytes.count)
    }
  }

  private struct Reader: BlobReader {
    var start: UInt64 = 0
    let size: UInt64
    let beforeRead: @Sendable (UInt64) async throws(ServiceError) -> Void

    func read(at offset: UInt64, count: Int) async throws(ServiceError) -> [UInt8] {
      try await beforeRead(offset)
      guard offset < size else { return [] }
      return PatternBlobService.bytes(
        at: start + offset,
        count: Int(min(UInt64(count), size - offset))
      )
    }
  }

  private actor Writer: BlobWriter {
    private var hasher = BLAKE3.Hasher()
    private let written: Guarded<UInt64>

    init(written: Guarded<UInt64>) { self.written = written }

    func write(_ bytes: [UInt8]) async throws(ServiceError) {
      hasher.update(bytes)
      written.withLock { $0 += UInt64(bytes.count) }
    }

    func close() async throws(ServiceError) -> B3Digest { B3Digest(hasher.finalize()) }

    func abandon() async {}
  }
}

/// A service that says of every digest that it stands for the same bytes.
struct LyingBlobService: BlobService {
  var bytes: [UInt8]
  var listedChunks: [ChunkMeta] = []

  func has(_ digest: B3Digest) async throws(ServiceError) -> Bool { true }

  func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? {
    let honest = MemoryBlobService()
    return try await honest.openRead(honest.insert(bytes))
  }

  func openWrite() async throws(ServiceError) -> any BlobWriter {
    throw ServiceError(.unsupported, "no writing")
  }

  func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? { listedChunks }
}
