/// The names at the top of a mount, and what they stand for.
public protocol RootNodes: Sendable {
  /// Looks a name up; `nil` where it stands for nothing.
  func node(named name: PathComponent) async throws(ServiceError) -> Node?

  /// Streams all names, in no promised order, each once.
  func list() -> AsyncThrowingStream<NamedNode, any Error>
}

/// A node with the name it is listed under.
public struct NamedNode: Hashable, Sendable {
  /// The name.
  public var name: PathComponent
  /// What it stands for.
  public var node: Node

  /// Joins a name and a node.
  public init(name: PathComponent, node: Node) {
    self.name = name
    self.node = node
  }
}

/// Root names that lie on this machine and can be looked up without waiting for anybody.
public protocol LocalRootNodes: Sendable {
  /// Looks a name up; may block on the local disk, never on the network.
  func nodeLocal(named name: PathComponent) throws(ServiceError) -> Node?

  /// A number that is another one whenever a name was added, removed or re-pointed since.
  func rootsVersion() throws(ServiceError) -> UInt64
}
