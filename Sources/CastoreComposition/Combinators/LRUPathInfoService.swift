public import Castore
public import NixCompat
public import NixStore
import Platform

/// A number of path infos in memory; the one longest unused makes room, and what nobody
/// uses for a minute goes. For the near side of a cache.
public final class LRUPathInfoService: PathInfoService {
  private let infos: Cache<StorePathDigest, PathInfo>

  /// Makes an empty one that holds so many.
  public init(capacity: Int) {
    infos = Cache(limit: capacity)
  }

  /// Looks for a path info, which is thereby used.
  public func get(_ digest: StorePathDigest) async throws(ServiceError) -> PathInfo? {
    infos[digest]
  }

  /// Holds a path info, until others need the room.
  public func put(_ info: PathInfo) async throws(ServiceError) -> PathInfo {
    infos.insert(info, for: info.storePath.digest, weight: 1)
    return info
  }

  /// Streams what is held at the time of the call, in no order.
  public func list() -> AsyncThrowingStream<PathInfo, any Error> {
    let held = infos.values
    return AsyncThrowingStream { continuation in
      for info in held { continuation.yield(info) }
      continuation.finish()
    }
  }
}
