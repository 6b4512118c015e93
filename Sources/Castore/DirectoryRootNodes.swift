/// A directory's entries as the names at the top of a mount.
public struct DirectoryRootNodes: RootNodes, LocalRootNodes {
  /// The directory.
  public let directory: Directory

  /// Shows a directory's entries.
  public init(_ directory: Directory) {
    self.directory = directory
  }

  /// Looks a name up.
  public func node(named name: PathComponent) async throws(ServiceError) -> Node? {
    directory.node(named: name)
  }

  /// Streams the entries in order.
  public func list() -> AsyncThrowingStream<NamedNode, any Error> {
    AsyncThrowingStream(directory.entries)
  }

  /// Looks a name up.
  public func nodeLocal(named name: PathComponent) throws(ServiceError) -> Node? {
    directory.node(named: name)
  }

  /// Never changes.
  public func rootsVersion() throws(ServiceError) -> UInt64 {
    0
  }
}
