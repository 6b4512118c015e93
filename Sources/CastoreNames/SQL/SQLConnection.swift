internal import CSQLite
internal import Castore

/// One connection to an SQLite file: used by one thread at a time, whoever took it from the pool.
final class SQLConnection {
  enum Access {
    /// Reading and writing a file that is there.
    case readWrite
    /// Reading, beside others that may write.
    case read
    /// Reading without any lock: the caller finds out whether somebody wrote meanwhile.
    case unlocked(hasLog: Bool)
    /// A new file.
    case create
  }

  let path: String
  private let database: OpaquePointer
  private var statements: [String: OpaquePointer] = [:]

  /// Opens a file.
  ///
  /// - Parameter patience: How many milliseconds a call waits for others' locks.
  init(_ path: String, _ access: Access, patience: CInt) throws(ServiceError) {
    self.path = path
    let (name, flags): (String, CInt) =
      switch access {
      case .readWrite: (path, SQLITE_OPEN_READWRITE)
      case .read: (path, SQLITE_OPEN_READONLY)
      case .create: (path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)
      case .unlocked(let hasLog):
        (
          Self.address(path) + (hasLog ? "?vfs=unix-none" : "?immutable=1"),
          SQLITE_OPEN_READONLY | SQLITE_OPEN_URI
        )
      }
    var database: OpaquePointer?
    let code = sqlite3_open_v2(
      name,
      &database,
      flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
      nil
    )
    guard let database, code == SQLITE_OK else {
      let error = SQLFailure(code: code, database: database)
      sqlite3_close_v2(database)
      throw .names(path, error)
    }
    self.database = database
    sqlite3_busy_timeout(database, patience)
    csqlite_make_defensive(database)
    // Before anything else: the log's index is then kept in memory, as no file for it can be made.
    if case .unlocked(hasLog: true) = access { try run("PRAGMA locking_mode = EXCLUSIVE") }
    try run("PRAGMA trusted_schema = OFF")
    try run("PRAGMA cell_size_check = ON")
    // Never mapped: a file that somebody shortens would be a signal.
    try run("PRAGMA mmap_size = 0")
    try run("PRAGMA synchronous = FULL")
  }

  deinit {
    for statement in statements.values { sqlite3_finalize(statement) }
    sqlite3_close_v2(database)
  }

  /// Runs a statement and calls `body` with each row, until that returns false.
  func query(
    _ sql: String,
    _ values: [SQLValue] = [],
    _ body: (SQLRow) throws(ServiceError) -> Bool
  ) throws(ServiceError) {
    let statement = try prepared(sql)
    defer {
      sqlite3_reset(statement)
      sqlite3_clear_bindings(statement)
    }
    for (index, value) in values.enumerated() {
      let code =
        switch value {
        case .number(let number): sqlite3_bind_int64(statement, CInt(index + 1), number)
        case .text(let text): csqlite_bind_text(statement, CInt(index + 1), text)
        case .bytes(let bytes):
          bytes.withUnsafeBytes {
            csqlite_bind_bytes(statement, CInt(index + 1), $0.baseAddress, UInt64($0.count))
          }
        }
      guard code == SQLITE_OK else { throw failure(code) }
    }
    while true {
      let code = sqlite3_step(statement)
      if code == SQLITE_DONE { return }
      guard code == SQLITE_ROW else { throw failure(code) }
      if try !body(SQLRow(statement, path: path)) { return }
    }
  }

  /// Runs a statement whose rows nobody wants.
  ///
  /// - Returns: How many rows it changed.
  @discardableResult
  func run(_ sql: String, _ values: [SQLValue] = []) throws(ServiceError) -> Int {
    try query(sql, values) { (_) throws(ServiceError) in true }
    return Int(sqlite3_changes(database))
  }

  /// Runs `body` on one state of the file, whatever others write meanwhile.
  func snapshot<Result>(
    _ body: () throws(ServiceError) -> Result
  ) throws(ServiceError) -> Result {
    try run("BEGIN")
    do throws(ServiceError) {
      let result = try body()
      try run("COMMIT")
      return result
    } catch {
      rollBack()
      throw error
    }
  }

  /// Ends a transaction without its changes, as far as there is one.
  func rollBack() {
    if sqlite3_get_autocommit(database) == 0 { _ = try? run("ROLLBACK") }
  }

  private func prepared(_ sql: String) throws(ServiceError) -> OpaquePointer {
    if let known = statements[sql] { return known }
    var statement: OpaquePointer?
    let code = sqlite3_prepare_v3(
      database,
      sql,
      -1,
      CUnsignedInt(SQLITE_PREPARE_PERSISTENT),
      &statement,
      nil
    )
    guard let statement, code == SQLITE_OK else { throw failure(code) }
    statements[sql] = statement
    return statement
  }

  private func failure(_ code: CInt) -> ServiceError {
    .names(path, SQLFailure(code: code, database: database))
  }

  // The path as a URI: every byte that could mean something in one is written as a number.
  private static func address(_ path: String) -> String {
    var address = "file:"
    for byte in path.utf8 {
      let scalar = Unicode.Scalar(byte)
      let isPlain =
        byte < 128 && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
      if isPlain || "/-_.".unicodeScalars.contains(scalar) {
        address.unicodeScalars.append(scalar)
      } else {
        let digits = String(byte, radix: 16)
        address += byte < 16 ? "%0\(digits)" : "%\(digits)"
      }
    }
    return address
  }
}
