internal import CSQLite
internal import Castore

/// What a statement is given for one of its parameters.
enum SQLValue {
  case bytes([UInt8])
  case number(Int64)
  case text(String)

  /// Whether it comes before another of its kind: bytes as unsigned numbers, as both engines order them.
  func precedes(_ other: SQLValue) -> Bool {
    switch (self, other) {
    case (.bytes(let left), .bytes(let right)): left.lexicographicallyPrecedes(right)
    case (.number(let left), .number(let right)): left < right
    default: false
    }
  }
}

/// A row of a result, valid only while the call that lends it runs. (Copyable, because 6.3.1 crashes while
/// optimizing calls that borrow one that is not.)
struct SQLRow {
  private let statement: OpaquePointer
  private let path: String

  init(_ statement: OpaquePointer, path: String) {
    self.statement = statement
    self.path = path
  }

  /// The bytes in a column.
  func bytes(_ column: CInt) throws(ServiceError) -> [UInt8] {
    guard sqlite3_column_type(statement, column) == SQLITE_BLOB else { throw .namesDamaged(path) }
    // In this order: the length is that of the form which the pointer was asked for in.
    let bytes = sqlite3_column_blob(statement, column)
    return [UInt8](
      UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_column_bytes(statement, column)))
    )
  }

  /// The number in a column.
  func number(_ column: CInt) throws(ServiceError) -> Int64 {
    guard sqlite3_column_type(statement, column) == SQLITE_INTEGER else {
      throw .namesDamaged(path)
    }
    return sqlite3_column_int64(statement, column)
  }

  /// The text in a column, as well as it can be read.
  func text(_ column: CInt) -> String {
    sqlite3_column_text(statement, column).map { String(cString: $0) } ?? ""
  }
}
