public import Castore

extension LocalStore: RootRegistry {
  /// See `RootRegistry`. As `setRoot`, on a thread that may block.
  public func putRoot(
    _ name: PathComponent,
    _ node: Node,
    replace: Bool
  ) async throws(ServiceError) -> Node? {
    try await BlockingPool.shared.run { [self] () throws(ServiceError) in
      try setRoot(name, to: node, replace: replace)
    }
  }

  /// See `RootRegistry`. As `removeRoot`, on a thread that may block.
  public func dropRoot(_ name: PathComponent) async throws(ServiceError) -> Bool {
    try await BlockingPool.shared.run { [self] () throws(ServiceError) in try removeRoot(name) }
  }
}
