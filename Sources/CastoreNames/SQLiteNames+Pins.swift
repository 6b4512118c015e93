package import Castore

extension SQLiteNames {
  /// Lists at most `limit` pins in the order of their nodes' encodings, those after a node.
  package func pins(after node: Node?, limit: Int) throws(ServiceError) -> [PinnedNode] {
    try read { (connection) throws(ServiceError) in
      var pins: [PinnedNode] = []
      let after = node.map { SQLValue.bytes($0.encoded()) }
      for row in try connection.rows(.pins, after: after, limit: limit) {
        pins.append(
          PinnedNode(
            node: try connection.node(in: row, .pins),
            note: row.bytes(1),
            time: row.number(2)
          )
        )
      }
      return pins
    }
  }

  /// Keeps a node, durably; see ``NamesTransaction/pin(_:note:)``.
  @discardableResult
  package func pin(_ node: Node, note: [UInt8]) throws(ServiceError) -> Bool {
    try write { (transaction) throws(ServiceError) in try transaction.pin(node, note: note) }
  }

  /// Ends a pin, durably.
  ///
  /// - Returns: Whether there was one.
  @discardableResult
  package func unpin(_ node: Node) throws(ServiceError) -> Bool {
    try write { (transaction) throws(ServiceError) in try transaction.unpin(node) }
  }
}
