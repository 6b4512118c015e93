public import Castore
internal import CastoreNames

/// A tree that collections keep, whatever names it.
public struct Pin: Hashable, Sendable {
  /// The tree.
  public var node: Node
  /// Why, in the words of whoever pinned it.
  public var note: [UInt8]
  /// Since when, in seconds since 1970.
  public var time: Int64
}

extension LocalStore {
  /// Keeps a tree from being collected until it is unpinned, durably.
  ///
  /// - Returns: Whether it was not pinned before.
  /// - Throws: `.notFound` where the node's content is missing.
  public func pin(_ node: Node, note: [UInt8]) throws(ServiceError) -> Bool {
    try requireContent(of: node, named: "a pin")
    return try core.names.pin(node, note: note)
  }

  /// Takes a pin away, durably.
  ///
  /// - Returns: Whether there was one.
  public func unpin(_ node: Node) throws(ServiceError) -> Bool {
    try core.names.unpin(node)
  }

  /// Lists pins, in no particular order.
  ///
  /// - Parameters:
  ///   - node: The one after which to go on; `nil` to begin at the front.
  ///   - limit: How many to return at most; fewer only at the end.
  public func pins(after node: Node?, limit: Int) throws(ServiceError) -> [Pin] {
    try core.names.pins(after: node, limit: limit).map {
      Pin(node: $0.node, note: $0.note, time: $0.time)
    }
  }
}
