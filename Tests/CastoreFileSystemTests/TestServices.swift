import Castore
import CastoreFileSystem
import Platform

/// Blobs and directories of other services, of which some do not come until a gate opens.
final class GatedServices: BlobService, DirectoryService {
  private struct State {
    var gated: Set<B3Digest> = []
    var waiting = 0
    var calls = 0
  }

  let blobs: MemoryBlobService
  let directories: MemoryDirectoryService
  private let state = Guarded(State())
  private let gate = Latch<Bool>()

  init(_ blobs: MemoryBlobService, _ directories: MemoryDirectoryService) {
    self.blobs = blobs
    self.directories = directories
  }

  /// Holds calls that concern a digest until `open`.
  func hold(_ node: Node) {
    switch node {
    case .file(let digest, _, _), .directory(let digest, _):
      _ = state.withLock { $0.gated.insert(digest) }
    case .symlink: break
    }
  }

  /// Lets everything through.
  func open() { gate.set(true) }

  /// How many calls wait.
  var waiting: Int { state.withLock { $0.waiting } }
  /// How many calls there were.
  var calls: Int { state.withLock { $0.calls } }

  private func pass(_ digest: B3Digest) async {
    let isGated = state.withLock { state in
      state.calls += 1
      guard state.gated.contains(digest) else { return false }
      state.waiting += 1
      return true
    }
    if !isGated { return }
    _ = await gate.get()
    state.withLock { $0.waiting -= 1 }
  }

  func has(_ digest: B3Digest) async throws(ServiceError) -> Bool { try await blobs.has(digest) }

  func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? {
    await pass(digest)
    return try await blobs.openRead(digest)
  }

  func openWrite() async throws(ServiceError) -> any BlobWriter { try await blobs.openWrite() }

  func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? {
    try await blobs.chunks(of: digest)
  }

  func get(_ digest: B3Digest) async throws(ServiceError) -> Directory? {
    await pass(digest)
    return try await directories.get(digest)
  }

  func put(_ directory: Directory) async throws(ServiceError) -> B3Digest {
    try await directories.put(directory)
  }

  func getRecursive(_ root: B3Digest) -> AsyncThrowingStream<Directory, any Error> {
    directories.getRecursive(root)
  }

  func putMultiple() async throws(ServiceError) -> any DirectoryPutter {
    try await directories.putMultiple()
  }
}

/// Blobs whose readers fail in one way or another from an offset on, for as long as they are told to.
final class FailingBlobs: BlobService {
  enum Failure: CaseIterable {
    case error
    case nothing
    case fewerBytes
    case moreBytes
  }

  let blobs: MemoryBlobService
  let failure = Guarded<(Failure, from: UInt64)?>(nil)

  init(_ blobs: MemoryBlobService) { self.blobs = blobs }

  private struct Reader: BlobReader {
    let reader: any BlobReader
    let failure: Guarded<(Failure, from: UInt64)?>
    var size: UInt64 { reader.size }

    func read(at offset: UInt64, count: Int) async throws(ServiceError) -> [UInt8] {
      guard let (failure, start) = failure.withLock({ $0 }), offset + UInt64(count) > start else {
        // Pieces, as they come from a network.
        return try await reader.read(at: offset, count: min(count, 50_000))
      }
      switch failure {
      case .error: throw ServiceError(.unavailable, "the network is down")
      case .nothing: return []
      case .fewerBytes:
        let left = Int(clamping: start) - Int(clamping: offset)
        return left > 0 ? try await reader.read(at: offset, count: left) : []
      case .moreBytes: return try await reader.read(at: offset, count: count) + [1]
      }
    }
  }

  func has(_ digest: B3Digest) async throws(ServiceError) -> Bool { try await blobs.has(digest) }

  func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? {
    try await blobs.openRead(digest).map { Reader(reader: $0, failure: failure) }
  }

  func openWrite() async throws(ServiceError) -> any BlobWriter { try await blobs.openWrite() }

  func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? {
    try await blobs.chunks(of: digest)
  }
}
