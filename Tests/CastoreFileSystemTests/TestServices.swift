import Castore
import CastoreFileSystem
import CastoreStorage
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

/// Blobs that are elsewhere, some of them in a store on this machine as well.
final class PartlyNear: BlobService, LocalBlobAccess {
  let far = MemoryBlobService()
  let near: LocalStore

  init(near: LocalStore) { self.near = near }

  /// Lets a blob arrive.
  func bringNear(_ bytes: [UInt8]) async throws {
    let writer = try await near.openWrite()
    try await writer.write(bytes)
    _ = try await writer.close()
  }

  var isComplete: Bool { false }

  func has(_ digest: B3Digest) async throws(ServiceError) -> Bool { try await far.has(digest) }

  func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? {
    try await far.openRead(digest)
  }

  func openWrite() async throws(ServiceError) -> any BlobWriter { try await far.openWrite() }

  func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? {
    try await far.chunks(of: digest)
  }

  func holdsLocal(_ digest: B3Digest) throws(ServiceError) -> Bool { try near.holdsLocal(digest) }

  func sizeLocal(_ digest: B3Digest) throws(ServiceError) -> UInt64? { try near.sizeLocal(digest) }

  func withBytesLocal(
    _ digest: B3Digest,
    _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(ServiceError) -> Bool {
    try near.withBytesLocal(digest, body)
  }

  func readLocal(
    _ digest: B3Digest,
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(ServiceError) -> Int? {
    try near.readLocal(digest, at: offset, into: buffer)
  }

  func openLocalFile(_ digest: B3Digest) throws(ServiceError) -> OwnedDescriptor? {
    try near.openLocalFile(digest)
  }
}

/// Root names of a store that may be out of reach.
final class FarRoots: RootNodes {
  private struct State {
    var nodes: [PathComponent: Node] = [:]
    var isReachable = true
    var isStuck = false
    var lookups = 0
    var listings = 0
  }

  private let state = Guarded(State())

  func set(_ name: String, _ node: Node?) throws {
    let name = try PathComponent(name)
    state.withLock { $0.nodes[name] = node }
  }

  var isReachable: Bool {
    get { state.withLock { $0.isReachable } }
    set { state.withLock { $0.isReachable = newValue } }
  }

  /// Whether it does not answer at all.
  var isStuck: Bool {
    get { state.withLock { $0.isStuck } }
    set { state.withLock { $0.isStuck = newValue } }
  }

  var lookups: Int { state.withLock { $0.lookups } }
  var listings: Int { state.withLock { $0.listings } }

  func node(named name: PathComponent) async throws(ServiceError) -> Node? {
    while isStuck {
      do { try await Task.sleep(for: .milliseconds(1)) } catch {
        throw ServiceError(.cancelled, "cancelled")
      }
    }
    return try state.withLock { (state) throws(ServiceError) in
      state.lookups += 1
      if !state.isReachable { throw ServiceError(.unavailable, "nobody answers") }
      return state.nodes[name]
    }
  }

  func list() -> AsyncThrowingStream<NamedNode, any Error> {
    let entries = state.withLock { state in
      state.listings += 1
      return state.isReachable ? state.nodes.map { NamedNode(name: $0, node: $1) } : nil
    }
    return AsyncThrowingStream { continuation in
      guard let entries else {
        return continuation.finish(throwing: ServiceError(.unavailable, "nobody answers"))
      }
      for entry in entries { continuation.yield(entry) }
      continuation.finish()
    }
  }
}
