package import Castore

extension SQLiteNames {
  /// Looks a root up; `nil` where the name stands for nothing.
  package func root(_ name: PathComponent) throws(ServiceError) -> Node? {
    try read { (connection) throws(ServiceError) in
      guard let row = try connection.row(.roots, .bytes(name.bytes)) else { return nil }
      return try connection.node(in: row, .roots)
    }
  }

  /// Lists at most `limit` roots in bytewise order, those after a name.
  package func roots(
    after name: PathComponent?,
    limit: Int
  ) throws(ServiceError) -> [NamedNode] {
    try read { (connection) throws(ServiceError) in
      var roots: [NamedNode] = []
      let after = name.map { SQLValue.bytes($0.bytes) }
      for row in try connection.rows(.roots, after: after, limit: limit) {
        roots.append(
          NamedNode(
            name: try connection.rootName(in: row),
            node: try connection.node(in: row, .roots)
          )
        )
      }
      return roots
    }
  }

  /// A number that is another one whenever a root was added, removed or re-pointed since, by whatever
  /// process.
  ///
  /// - Complexity: Two system calls; more only while somebody writes, or after a writer died.
  package func rootsVersion() throws(ServiceError) -> UInt64 {
    if let counts = counter.read(), counts.isSettled { return counts.roots }
    return try versionFact(of: .roots)
  }

  /// Names a node, durably; see ``NamesTransaction/putRoot(_:_:replace:)``.
  @discardableResult
  package func putRoot(
    _ name: PathComponent,
    _ node: Node,
    replace: Bool
  ) throws(ServiceError) -> Node? {
    try write { (transaction) throws(ServiceError) in
      try transaction.putRoot(name, node, replace: replace)
    }
  }

  /// Removes a name, durably.
  ///
  /// - Returns: What it stood for, or nothing where there was none.
  @discardableResult
  package func removeRoot(_ name: PathComponent) throws(ServiceError) -> Node? {
    try write { (transaction) throws(ServiceError) in try transaction.removeRoot(name) }
  }

  func versionFact(of table: NamesTable) throws(ServiceError) -> UInt64 {
    try read { (connection) throws(ServiceError) in
      UInt64(bitPattern: try connection.fact(table.versionFact))
    }
  }
}
