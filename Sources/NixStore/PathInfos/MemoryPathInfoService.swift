public import Castore
public import NixCompat
internal import Platform

/// Path infos held in memory, for tests and small temporary stores.
public final class MemoryPathInfoService: PathInfoService {
  private struct State {
    var infos: [StorePathDigest: PathInfo] = [:]
    var version: UInt64 = 0
  }

  private let state = Guarded(State())

  /// An empty store.
  public init() {}

  /// Fetches a path info.
  public func get(_ digest: StorePathDigest) async throws(ServiceError) -> PathInfo? {
    try pathInfoLocal(digest)
  }

  /// Stores a path info as it is.
  public func put(_ info: PathInfo) async throws(ServiceError) -> PathInfo {
    state.withLock { state in
      state.infos[info.storePath.digest] = info
      state.version &+= 1
    }
    return info
  }

  /// Streams what there is at the time of the call, in the order of the store paths.
  public func list() -> AsyncThrowingStream<PathInfo, any Error> {
    let infos = state.withLock { Array($0.infos.values) }.sorted { $0.storePath < $1.storePath }
    return AsyncThrowingStream { continuation in
      for info in infos { continuation.yield(info) }
      continuation.finish()
    }
  }
}

extension MemoryPathInfoService: LocalPathInfoAccess {
  /// Fetches a path info.
  public func pathInfoLocal(_ digest: StorePathDigest) throws(ServiceError) -> PathInfo? {
    state.withLock { $0.infos[digest] }
  }

  /// Counts the calls of `put`.
  public func pathInfosVersion() throws(ServiceError) -> UInt64 {
    state.withLock { $0.version }
  }
}
