package import Castore

extension SQLiteNames {
  /// Calls `body` with everything that is to be kept: what a collection begins with.
  ///
  /// All from one state of the names, and all of it: rows that are missing, damaged or from an earlier
  /// time are an error, at the latest after the last call of `body`. So whoever deletes what it was not
  /// told must do so only after this has returned. A reference may be told twice.
  ///
  /// Memory is bounded; changes by others are not held up.
  ///
  /// - Parameter time: Since when what lost its name is told too, in seconds since 1970; `nil` for none.
  package func forEachReference(
    unnamedSince time: Int64?,
    _ body: (NameReference) throws(ServiceError) -> Void
  ) throws(ServiceError) {
    try read { (connection) throws(ServiceError) in
      try connection.snapshot { () throws(ServiceError) in
        try connection.forEachRow(.roots) { (row) throws(ServiceError) in
          let node = try connection.node(in: row, .roots)
          try body(NameReference(node: node, source: .root, name: row.bytes(0), unnamed: nil))
        }
        try connection.forEachRow(.pathInfos) { (row) throws(ServiceError) in
          let node = try connection.node(in: row, .pathInfos)
          try body(NameReference(node: node, source: .pathInfo, name: row.bytes(0), unnamed: nil))
        }
        try connection.forEachRow(.pins) { (row) throws(ServiceError) in
          let node = try connection.node(in: row, .pins)
          try body(NameReference(node: node, source: .pin, name: row.bytes(1), unnamed: nil))
        }
        guard let time else { return }
        try connection.forEachRow(.unnamed) { (row) throws(ServiceError) in
          guard row.number(4) >= time else { return }
          guard let source = NameSource(rawValue: row.number(2)) else {
            throw .namesDamaged(connection.path, "a row of unnamed has no known source")
          }
          let node = try connection.node(in: row, .unnamed)
          try body(
            NameReference(node: node, source: source, name: row.bytes(3), unnamed: row.number(4))
          )
        }
      }
    }
  }

  /// Forgets what was unnamed before a time, in seconds since 1970; durably.
  ///
  /// - Returns: How many were forgotten.
  @discardableResult
  package func forgetUnnamed(before time: Int64) throws(ServiceError) -> Int {
    try write { (transaction) throws(ServiceError) in
      try transaction.forgetUnnamed(before: time)
    }
  }

  /// How many names there are.
  ///
  /// - Complexity: O(1).
  package func counts() throws(ServiceError) -> NameCounts {
    try read { (connection) throws(ServiceError) in
      try connection.snapshot { () throws(ServiceError) in
        NameCounts(
          roots: Int(try connection.fact(NamesTable.roots.countFact)),
          pathInfos: Int(try connection.fact(NamesTable.pathInfos.countFact)),
          pins: Int(try connection.fact(NamesTable.pins.countFact)),
          unnamed: Int(try connection.fact(NamesTable.unnamed.countFact))
        )
      }
    }
  }
}
