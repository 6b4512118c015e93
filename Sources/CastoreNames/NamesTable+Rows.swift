internal import Castore

/// The statements for a table, put together once.
struct TableStatements: Sendable {
  let select: String
  let first: String
  let next: String
  let all: String
  let last: String
  let insert: String
  let delete: String

  init(_ table: NamesTable) {
    let (name, key) = (table.rawValue, table.key)
    let columns = "\(table.columnList), checksum"
    let marks = repeatElement("?", count: table.columns.count + 1).joined(separator: ", ")
    select = "SELECT \(columns) FROM \(name) WHERE \(key) = ?"
    first = "SELECT \(columns) FROM \(name) ORDER BY \(key) LIMIT ?"
    next = "SELECT \(columns) FROM \(name) WHERE \(key) > ? ORDER BY \(key) LIMIT ?"
    all = "SELECT \(columns) FROM \(name) ORDER BY \(key)"
    last = "SELECT \(columns) FROM \(name) ORDER BY \(key) DESC LIMIT 1"
    insert = "INSERT INTO \(name) (\(columns)) VALUES (\(marks))"
    delete = "DELETE FROM \(name) WHERE \(key) = ?"
  }
}

extension NamesTable {
  private static let statements = Dictionary(
    uniqueKeysWithValues: allCases.map { ($0, TableStatements($0)) }
  )

  var statements: TableStatements { Self.statements[self] ?? TableStatements(self) }
}

/// A row whose checksum was right.
struct NamesRow {
  let columns: [SQLValue]
  let checksum: Int64

  func bytes(_ column: Int) -> [UInt8] {
    if case .bytes(let bytes) = columns[column] { return bytes }
    return []
  }

  func number(_ column: Int) -> Int64 {
    if case .number(let number) = columns[column] { return number }
    return 0
  }
}

/// What the rows of a table add up to, read in order from the first.
struct RowTotal {
  let table: NamesTable
  private(set) var count: Int64 = 0
  private(set) var sum: Int64 = 0
  private var last: SQLValue?

  init(_ table: NamesTable) {
    self.table = table
  }

  /// Counts a row.
  ///
  /// - Throws: `.corrupt` where it comes too early: pages that changed places hold all rows, and still
  ///   nobody finds them by their keys.
  mutating func add(_ row: NamesRow, _ path: String) throws(ServiceError) {
    count &+= 1
    sum &+= row.checksum
    let key = row.columns[0]
    if let last, !last.precedes(key) {
      throw .namesDamaged(path, "the rows of \(table.rawValue) are out of order")
    }
    last = key
  }
}

extension SQLConnection {
  /// The row with a key; `nil` where there is none.
  func row(_ table: NamesTable, _ key: SQLValue) throws(ServiceError) -> NamesRow? {
    try rows(table, table.statements.select, [key]).first
  }

  /// At most `limit` rows in the order of their keys, those after `key`.
  func rows(
    _ table: NamesTable,
    after key: SQLValue?,
    limit: Int
  ) throws(ServiceError) -> [NamesRow] {
    let limit = SQLValue.number(Int64(max(limit, 0)))
    guard let key else { return try rows(table, table.statements.first, [limit]) }
    return try rows(table, table.statements.next, [key, limit])
  }

  /// The row with the greatest key.
  func lastRow(_ table: NamesTable) throws(ServiceError) -> NamesRow? {
    try rows(table, table.statements.last, []).first
  }

  /// Calls `body` with every row, in order, and finds out whether these are all rows.
  ///
  /// - Throws: `.corrupt` where a row is damaged, and after the last one where there were others than
  ///   were written.
  func forEachRow(
    _ table: NamesTable,
    _ body: (NamesRow) throws(ServiceError) -> Void
  ) throws(ServiceError) {
    var total = RowTotal(table)
    try query(table.statements.all) { (row) throws(ServiceError) in
      let row = try decode(row, table)
      try total.add(row, path)
      try body(row)
      return true
    }
    try check(total)
  }

  /// Finds out whether the rows that were read are all that were written.
  func check(_ total: RowTotal) throws(ServiceError) {
    let name = total.table.rawValue
    let expected = (count: try fact(total.table.countFact), sum: try fact(total.table.sumFact))
    if expected == (total.count, total.sum) { return }
    throw .namesDamaged(
      path,
      expected.count == total.count
        ? "the \(total.count) rows of \(name) are not those that were written"
        : "\(name) has \(total.count) rows where \(expected.count) were written"
    )
  }

  /// A number about the file.
  func fact(_ name: String) throws(ServiceError) -> Int64 {
    var found: Int64?
    let name = [SQLValue.text(name)]
    try query("SELECT value FROM facts WHERE name = ?", name) { (row) throws(ServiceError) in
      found = try row.number(0)
      return true
    }
    guard let found else { throw .namesDamaged(path, "a row of facts is missing") }
    return found
  }

  func setFact(_ name: String, to value: Int64) throws(ServiceError) {
    try run("UPDATE facts SET value = ? WHERE name = ?", [.number(value), .text(name)])
  }

  /// Reads a row and checks it against its checksum.
  func decode(_ row: SQLRow, _ table: NamesTable) throws(ServiceError) -> NamesRow {
    var columns: [SQLValue] = []
    let kinds = table.columns
    columns.reserveCapacity(kinds.count)
    for (index, column) in kinds.enumerated() {
      columns.append(
        column.isBytes
          ? .bytes(try row.bytes(CInt(index))) : .number(try row.number(CInt(index)))
      )
    }
    let checksum = try row.number(CInt(kinds.count))
    guard checksum == RowChecksum.of(table, columns) else {
      throw .namesDamaged(path, "a row of \(table.rawValue) is not what was written")
    }
    return NamesRow(columns: columns, checksum: checksum)
  }

  private func rows(
    _ table: NamesTable,
    _ sql: String,
    _ values: [SQLValue]
  ) throws(ServiceError) -> [NamesRow] {
    var found: [NamesRow] = []
    var total = RowTotal(table)
    try query(sql, values) { (row) throws(ServiceError) in
      let row = try decode(row, table)
      try total.add(row, path)
      found.append(row)
      return true
    }
    return found
  }
}
