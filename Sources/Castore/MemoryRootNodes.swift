internal import Platform

/// Root names held in memory, which may be changed at any time.
public final class MemoryRootNodes: RootNodes {
  private let nodes: Guarded<[PathComponent: Node]>

  /// Starts with some names; the last one counts where a name is given several times.
  public init(_ nodes: [NamedNode] = []) {
    var names: [PathComponent: Node] = [:]
    for entry in nodes { names[entry.name] = entry.node }
    self.nodes = Guarded(names)
  }

  /// Lets a name stand for a node, or for nothing.
  public func set(_ name: PathComponent, to node: Node?) {
    nodes.withLock { $0[name] = node }
  }

  /// Looks a name up.
  public func node(named name: PathComponent) async throws(ServiceError) -> Node? {
    try nodeLocal(named: name)
  }

  /// Streams the names that there are at the time of the call, in order.
  public func list() -> AsyncThrowingStream<NamedNode, any Error> {
    let names = nodes.withLock { $0 }
    let entries = names.map { NamedNode(name: $0, node: $1) }
    return AsyncThrowingStream(entries.sorted { $0.name < $1.name })
  }
}

extension MemoryRootNodes: LocalRootNodes {
  /// Looks a name up.
  public func nodeLocal(named name: PathComponent) throws(ServiceError) -> Node? {
    nodes.withLock { $0[name] }
  }
}

extension AsyncThrowingStream where Element: Sendable, Failure == any Error {
  // Streams what is there already.
  init(_ elements: [Element]) {
    self.init { continuation in
      for element in elements { continuation.yield(element) }
      continuation.finish()
    }
  }
}
