package import Castore

extension SQLiteNames {
  /// The path info under a key; `nil` where there is none.
  package func pathInfo(_ key: [UInt8]) throws(ServiceError) -> NamedPathInfo? {
    try read { (connection) throws(ServiceError) in
      guard let row = try connection.row(.pathInfos, .bytes(key)) else { return nil }
      return try Self.pathInfo(row, connection)
    }
  }

  /// Lists at most `limit` path infos in the order of their keys, those after a key.
  package func pathInfos(
    after key: [UInt8]?,
    limit: Int
  ) throws(ServiceError) -> [NamedPathInfo] {
    try read { (connection) throws(ServiceError) in
      var infos: [NamedPathInfo] = []
      let after = key.map { SQLValue.bytes($0) }
      for row in try connection.rows(.pathInfos, after: after, limit: limit) {
        infos.append(try Self.pathInfo(row, connection))
      }
      return infos
    }
  }

  /// A number that is another one whenever a path info was set or removed since, by whatever process.
  ///
  /// - Complexity: As of ``rootsVersion()``.
  package func pathInfosVersion() throws(ServiceError) -> UInt64 {
    if let counts = counter.read(), counts.isSettled { return counts.pathInfos }
    return try versionFact(of: .pathInfos)
  }

  /// Sets a path info, durably; see ``NamesTransaction/setPathInfo(_:to:node:)``.
  package func setPathInfo(
    _ key: [UInt8],
    to info: [UInt8],
    node: Node
  ) throws(ServiceError) {
    try write { (transaction) throws(ServiceError) in
      try transaction.setPathInfo(key, to: info, node: node)
    }
  }

  /// Removes a path info, durably.
  ///
  /// - Returns: Whether there was one.
  @discardableResult
  package func removePathInfo(_ key: [UInt8]) throws(ServiceError) -> Bool {
    try write { (transaction) throws(ServiceError) in try transaction.removePathInfo(key) }
  }

  private static func pathInfo(
    _ row: NamesRow,
    _ connection: SQLConnection
  ) throws(ServiceError) -> NamedPathInfo {
    NamedPathInfo(
      key: row.bytes(0),
      info: row.bytes(1),
      node: try connection.node(in: row, .pathInfos)
    )
  }
}
