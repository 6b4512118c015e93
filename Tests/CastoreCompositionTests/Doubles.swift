import Castore
import Platform

/// A blob service that counts, delays and fails.
struct ProbeBlobService: BlobService {
  struct State {
    var opened: [B3Digest] = []
    var isBroken = false
  }

  let inner = MemoryBlobService()
  let state = Guarded(State())
  var delay: Duration = .zero

  var openCount: Int { state.withLock { $0.opened.count } }

  func breakDown() { state.withLock { $0.isBroken = true } }

  private func check() throws(ServiceError) {
    if state.withLock({ $0.isBroken }) { throw ServiceError(.io, "the disk is on fire") }
  }

  func has(_ digest: B3Digest) async throws(ServiceError) -> Bool {
    try check()
    return try await inner.has(digest)
  }

  func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? {
    try check()
    state.withLock { $0.opened.append(digest) }
    do { try await Task.sleep(for: delay) } catch {
      throw ServiceError(.cancelled, "cancelled")
    }
    return try await inner.openRead(digest)
  }

  func openWrite() async throws(ServiceError) -> any BlobWriter {
    try check()
    return try await inner.openWrite()
  }

  func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? {
    try check()
    return try await inner.chunks(of: digest)
  }
}

/// A directory service that counts calls, as a remote one would make them.
struct ProbeDirectoryService: DirectoryService {
  let inner = MemoryDirectoryService()
  let calls = Guarded(0)
  let isBroken = Guarded(false)

  private func call() throws(ServiceError) {
    calls.withLock { $0 += 1 }
    if isBroken.withLock({ $0 }) { throw ServiceError(.io, "the disk is on fire") }
  }

  func get(_ digest: B3Digest) async throws(ServiceError) -> Directory? {
    try call()
    return try await inner.get(digest)
  }

  func put(_ directory: Directory) async throws(ServiceError) -> B3Digest {
    try call()
    return try await inner.put(directory)
  }

  func getRecursive(_ root: B3Digest) -> AsyncThrowingStream<Directory, any Error> {
    do { try call() } catch { return AsyncThrowingStream { throw error } }
    return inner.getRecursive(root)
  }

  func putMultiple() async throws(ServiceError) -> any DirectoryPutter {
    try call()
    return try await inner.putMultiple()
  }
}
