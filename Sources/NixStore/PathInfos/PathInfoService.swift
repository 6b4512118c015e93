public import Castore
public import NixCompat

/// A store of path infos, by the digests of their store paths.
///
/// A missing one is `nil`, never an error. Safe to use from any task.
public protocol PathInfoService: Sendable {
  /// Fetches the path info of a store path by the path's digest. The name is not compared.
  func get(_ digest: StorePathDigest) async throws(ServiceError) -> PathInfo?

  /// Stores a path info, also over one that is there for the same digest.
  ///
  /// All that its node refers to must have been stored before.
  /// - Returns: What is stored, which may have more signatures, once it is durable.
  func put(_ info: PathInfo) async throws(ServiceError) -> PathInfo

  /// Streams all path infos, in no promised order, each once.
  func list() -> AsyncThrowingStream<PathInfo, any Error>
}

/// Path infos that lie on this machine and can be read without waiting for anybody.
public protocol LocalPathInfoAccess: Sendable {
  /// Reads a path info; may block on the local disk, never on the network.
  func pathInfoLocal(_ digest: StorePathDigest) throws(ServiceError) -> PathInfo?

  /// A number that is another one whenever a path info was added or changed since.
  func pathInfosVersion() throws(ServiceError) -> UInt64
}
