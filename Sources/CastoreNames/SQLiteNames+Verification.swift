package import Castore

extension SQLiteNames {
  /// Reads everything and tells what is wrong, one sentence each; nothing where all is well.
  ///
  /// Whether what the nodes refer to is there is not looked at.
  ///
  /// - Throws: Only what keeps the file from being read for other reasons than its bytes.
  package func verify() throws(ServiceError) -> [String] {
    try read { (connection) throws(ServiceError) in
      var findings = try Self.findings { (findings) throws(ServiceError) in
        try connection.query("PRAGMA integrity_check(100)") { (row) throws(ServiceError) in
          let text = row.text(0)
          if text != "ok" { findings.append("\(path): \(text)") }
          return true
        }
      }
      findings += try Self.findings { (findings) throws(ServiceError) in
        try connection.snapshot { () throws(ServiceError) in
          for table in NamesTable.allCases {
            findings += try Self.findings { (findings) throws(ServiceError) in
              try Self.check(table, connection, &findings)
            }
          }
        }
      }
      return findings
    }
  }

  private static func check(
    _ table: NamesTable,
    _ connection: SQLConnection,
    _ findings: inout [String]
  ) throws(ServiceError) {
    var total = RowTotal(table)
    try connection.query(table.statements.all) { (row) throws(ServiceError) in
      do throws(ServiceError) {
        let row = try connection.decode(row, table)
        try total.add(row, connection.path)
        _ = try connection.node(in: row, table)
        if table == .roots { _ = try connection.rootName(in: row) }
      } catch {
        guard error.code == .corrupt else { throw error }
        findings.append("\(error)")
      }
      return true
    }
    // Of damaged rows the sum is wrong anyway.
    if findings.isEmpty { try connection.check(total) }
  }

  // What `body` finds, and the damage that keeps it from going on.
  private static func findings(
    _ body: (inout [String]) throws(ServiceError) -> Void
  ) throws(ServiceError) -> [String] {
    var findings: [String] = []
    do throws(ServiceError) {
      try body(&findings)
    } catch {
      guard error.code == .corrupt else { throw error }
      findings.append("\(error)")
    }
    return findings
  }
}
