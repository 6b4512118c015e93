public import Castore
internal import NixCompat

/// Store paths as the names at the top of a mount.
///
/// A name is parsed as a store path, looked up by its digest, and compared whole: one with a known
/// digest and another name stands for nothing.
public struct PathInfoRootNodes<Service: PathInfoService>: RootNodes {
  private let service: Service

  /// Shows the store paths of a service.
  public init(_ service: Service) {
    self.service = service
  }

  /// Looks a store path up.
  public func node(named name: PathComponent) async throws(ServiceError) -> Node? {
    guard let path = try? StorePath(baseName: name.bytes) else { return nil }
    let info = try await service.get(path.digest)
    return info?.storePath == path ? info?.node : nil
  }

  /// Streams the store paths.
  public func list() -> AsyncThrowingStream<NamedNode, any Error> {
    let infos = service.list()
    return AsyncThrowingStream {
      // The iterators of a stream share its place.
      var iterator = infos.makeAsyncIterator()
      guard let info = try await iterator.next() else { return nil }
      return try info.namedNode
    }
  }
}

extension PathInfoRootNodes: LocalRootNodes where Service: LocalPathInfoAccess {
  /// Looks a store path up.
  public func nodeLocal(named name: PathComponent) throws(ServiceError) -> Node? {
    guard let path = try? StorePath(baseName: name.bytes) else { return nil }
    let info = try service.pathInfoLocal(path.digest)
    return info?.storePath == path ? info?.node : nil
  }

  /// The version of the path infos.
  public func rootsVersion() throws(ServiceError) -> UInt64 {
    try service.pathInfosVersion()
  }
}

extension PathInfo {
  /// The store path's base name and the tree.
  public var namedNode: NamedNode {
    get throws(PathComponentError) {
      NamedNode(name: try PathComponent(storePath.baseName), node: node)
    }
  }
}
