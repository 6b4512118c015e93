internal import Platform

/// Root names held in memory, which may be changed at any time.
public final class MemoryRootNodes: RootNodes {
  private struct State {
    var nodes: [PathComponent: Node] = [:]
    var version: UInt64 = 0
  }

  private let state: Guarded<State>

  /// Starts with some names; the last one counts where a name is given several times.
  public init(_ nodes: [NamedNode] = []) {
    var state = State()
    for entry in nodes { state.nodes[entry.name] = entry.node }
    self.state = Guarded(state)
  }

  /// Lets a name stand for a node, or for nothing.
  public func set(_ name: PathComponent, to node: Node?) {
    state.withLock { state in
      state.nodes[name] = node
      state.version &+= 1
    }
  }

  /// Changes the names.
  func change<Result>(
    _ body: (inout [PathComponent: Node]) throws(ServiceError) -> Result
  ) throws(ServiceError) -> Result {
    try state.withLock { (state) throws(ServiceError) in
      let result = try body(&state.nodes)
      state.version &+= 1
      return result
    }
  }

  /// Looks a name up.
  public func node(named name: PathComponent) async throws(ServiceError) -> Node? {
    try nodeLocal(named: name)
  }

  /// Streams the names that there are at the time of the call, in order.
  public func list() -> AsyncThrowingStream<NamedNode, any Error> {
    let names = state.withLock { $0.nodes }
    let entries = names.map { NamedNode(name: $0, node: $1) }
    return AsyncThrowingStream(entries.sorted { $0.name < $1.name })
  }
}

extension MemoryRootNodes: LocalRootNodes {
  /// Looks a name up.
  public func nodeLocal(named name: PathComponent) throws(ServiceError) -> Node? {
    state.withLock { $0.nodes[name] }
  }

  /// Counts the calls of `set(_:to:)`.
  public func rootsVersion() throws(ServiceError) -> UInt64 {
    state.withLock { $0.version }
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
