import BLAKE3
import Castore
import Glibc
import Platform

/// The groups of blobs that were asked for, computed when they first are.
///
/// Computing reads the whole blob, at the speed of the disk; a blob at a time for each processor.
final class GroupCache: Sendable {
  // 32 bytes for each MiB of blobs: some 256 GiB of them.
  private static let limit = 8 << 20

  /// What there is to tell of a blob.
  struct Answer: Sendable {
    /// Its length.
    var size: UInt64
    /// Its groups; none where it is all one.
    var groups: BlobGroups?
  }

  private struct State {
    var known: [B3Digest: BlobGroups] = [:]
    // In the order in which they were computed.
    var order: [B3Digest] = []
    var weight = 0
    var running: [B3Digest: Promise<Answer?>] = [:]
  }

  private let blobs: any Castore.BlobService
  private let state = Guarded(State())
  private let slots = CallSlots(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))

  init(_ blobs: any Castore.BlobService) {
    self.blobs = blobs
  }

  /// Whether a blob lies on this machine, so that each part of it can be read by itself.
  func isAtHand(_ digest: B3Digest) throws(ServiceError) -> Bool {
    guard let local = blobs as? any LocalBlobAccess else { return false }
    return try local.holdsLocal(digest)
  }

  /// A blob's groups; `nil` where there is no such blob.
  func groups(of digest: B3Digest) async throws -> Answer? {
    if let known = state.withLock({ $0.known[digest] }) {
      return Answer(size: known.size, groups: known)
    }
    let made = Promise<Answer?>()
    let promise = state.withLock { state in
      if let running = state.running[digest] { return running }
      state.running[digest] = made
      return made
    }
    if promise === made {
      // Not a child of the asking call: others may wait for it, and it is kept.
      Task.detached { [self] in
        do {
          let found = try await slots.withSlot { try await compute(digest) }
          keep(found?.groups, of: digest)
          promise.resolve(.success(found))
        } catch {
          keep(nil, of: digest)
          promise.resolve(.failure(error))
        }
      }
    }
    return try await promise.value()
  }

  private func keep(_ groups: BlobGroups?, of digest: B3Digest) {
    state.withLock { state in
      state.running[digest] = nil
      guard let groups else { return }
      state.known[digest] = groups
      state.order.append(digest)
      state.weight += groups.count * BLAKE3.Digest.byteCount
      while state.weight > Self.limit, state.order.count > 1 {
        let oldest = state.known.removeValue(forKey: state.order.removeFirst())
        state.weight -= (oldest?.count ?? 0) * BLAKE3.Digest.byteCount
      }
    }
  }

  private func compute(
    _ digest: B3Digest
  ) async throws(ServiceError) -> Answer? {
    guard let local = blobs as? any LocalBlobAccess else { return nil }
    return try await BlockingPool.shared.run { () throws(ServiceError) in
      try Self.compute(digest, in: local)
    }
  }

  private static func compute(
    _ digest: B3Digest,
    in local: any LocalBlobAccess
  ) throws(ServiceError) -> Answer? {
    guard let size = try local.sizeLocal(digest) else { return nil }
    let groupSize = BlobGroups.groupSize(of: size)
    guard size > groupSize else { return Answer(size: size) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(groupSize), alignment: 64)
    defer { buffer.deallocate() }
    var values: [BLAKE3.Digest] = []
    var offset: UInt64 = 0
    while offset < size {
      var filled = 0
      let count = Int(min(groupSize, size - offset))
      while filled < count {
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<count])
        guard let read = try local.readLocal(digest, at: offset + UInt64(filled), into: rest),
          read > 0
        else {
          throw ServiceError(.corrupt, "blob \(digest) ends before its \(size) bytes")
        }
        filled += read
      }
      values.append(
        BlobGroups.value(of: UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: offset)
      )
      offset += UInt64(count)
    }
    guard
      let groups = BlobGroups(size: size, groupSize: groupSize, values: values, of: digest)
    else {
      throw ServiceError(.corrupt, "the bytes of blob \(digest) are those of another")
    }
    return Answer(size: size, groups: groups)
  }
}
