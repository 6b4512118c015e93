internal import Castore
internal import Glibc
internal import Platform

/// The files of blobs that were read lately, so that reading on does not open them again.
///
/// Bounded; what falls out is closed as soon as nobody reads it.
final class OpenBlobCache: Sendable {
  private struct Shard {
    // Latest last; few enough that looking at all is quicker than a table.
    var blobs: [(digest: B3Digest, blob: OpenBlob)] = []
  }

  private let shards: [Guarded<Shard>]
  private static let shardCount = 16
  private let blobsPerShard: Int

  init() {
    // A quarter of the descriptors that the process may have, and no more than do any good.
    var limit = rlimit()
    let isKnown = getrlimit(__rlimit_resource_t(7 /* RLIMIT_NOFILE */), &limit) == 0
    let descriptors = isKnown ? Int(clamping: limit.rlim_cur) : 1024
    blobsPerShard = max(1, min(8, descriptors / 4 / Self.shardCount))
    shards = (0..<Self.shardCount).map { _ in Guarded(Shard()) }
  }

  /// The open file of a blob, if it is at hand.
  func blob(_ digest: B3Digest) -> OpenBlob? {
    shard(digest).withLock { shard in
      guard let place = shard.blobs.lastIndex(where: { $0.digest == digest }) else { return nil }
      let found = shard.blobs[place]
      if place != shard.blobs.count - 1 {
        shard.blobs.remove(at: place)
        shard.blobs.append(found)
      }
      return found.blob
    }
  }

  /// Adds a file; the one used longest ago goes.
  func insert(_ digest: B3Digest, _ blob: OpenBlob) {
    // Closed after unlocking.
    var dropped: OpenBlob?
    shard(digest).withLock { shard in
      if shard.blobs.count >= blobsPerShard { dropped = shard.blobs.removeFirst().blob }
      shard.blobs.append((digest, blob))
    }
    withExtendedLifetime(dropped) {}
  }

  /// Lets go of all files: they are closed as soon as nobody reads them.
  func removeAll() {
    for shard in shards {
      let dropped = shard.withLock { shard in
        defer { shard.blobs = [] }
        return shard.blobs
      }
      withExtendedLifetime(dropped) {}
    }
  }

  /// Takes a file out.
  func remove(_ digest: B3Digest) {
    // Closed after unlocking.
    var dropped: [OpenBlob] = []
    shard(digest).withLock { shard in
      dropped = shard.blobs.filter { $0.digest == digest }.map(\.blob)
      shard.blobs.removeAll { $0.digest == digest }
    }
    withExtendedLifetime(dropped) {}
  }

  private func shard(_ digest: B3Digest) -> Guarded<Shard> {
    shards[digest.withUnsafeBytes { Int($0[31]) } % Self.shardCount]
  }
}
