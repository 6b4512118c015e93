/// Root names that can be changed.
public protocol RootRegistry: RootNodes {
  /// Names a node, durably.
  ///
  /// - Parameter replace: Whether a name that stands for something else is re-pointed. Otherwise that
  ///   is an error; a name that stands for the same node is none.
  /// - Returns: What the name stood for before.
  /// - Throws: `.invalidArgument` for a name that is kept, `.notFound` where the store knows that it
  ///   does not hold what is to be named.
  func putRoot(
    _ name: PathComponent,
    _ node: Node,
    replace: Bool
  ) async throws(ServiceError) -> Node?

  /// Takes a name away, durably. What it stood for stays.
  ///
  /// - Returns: Whether there was one.
  func dropRoot(_ name: PathComponent) async throws(ServiceError) -> Bool
}

extension MemoryRootNodes: RootRegistry {
  /// Names a node.
  public func putRoot(
    _ name: PathComponent,
    _ node: Node,
    replace: Bool
  ) async throws(ServiceError) -> Node? {
    try change { (nodes) throws(ServiceError) in
      let old = nodes[name]
      if old == node { return old }
      if let old, !replace { throw .rootIsTaken(name, by: old) }
      nodes[name] = node
      return old
    }
  }

  /// Takes a name away.
  public func dropRoot(_ name: PathComponent) async throws(ServiceError) -> Bool {
    try change { (nodes) throws(ServiceError) in nodes.removeValue(forKey: name) != nil }
  }
}

extension ServiceError {
  /// A name stands for something else already, and is kept.
  public static func rootIsTaken(_ name: PathComponent, by node: Node) -> ServiceError {
    ServiceError(
      .invalidArgument,
      "the root \(name) stands for another \(node.kind) already; replace it or choose another name"
    )
  }
}
