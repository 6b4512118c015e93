public import Castore
public import NixCompat
public import NixStore

/// A path info service that takes nothing.
public struct ReadOnlyPathInfoService: PathInfoService {
  private let inner: any PathInfoService

  /// Reads from a service.
  public init(_ inner: any PathInfoService) {
    self.inner = inner
  }

  /// Passes the call on.
  public func get(_ digest: StorePathDigest) async throws(ServiceError) -> PathInfo? {
    try await inner.get(digest)
  }

  /// Refuses.
  public func put(_ info: PathInfo) async throws(ServiceError) -> PathInfo {
    throw ServiceError(.permissionDenied, "the path infos can only be read")
  }

  /// Passes the call on.
  public func list() -> AsyncThrowingStream<PathInfo, any Error> {
    inner.list()
  }
}
