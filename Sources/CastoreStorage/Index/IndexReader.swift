internal import CLMDB
internal import Castore

/// A view of the index at one moment. Lives only inside `IndexEnvironment.read` or `write`, which lend it
/// as `borrowing`, so that it is not copied out of there. (As a noncopyable type it makes the optimiser
/// of Swift 6.3.1 crash when it specialises `read`.)
struct IndexReader {
  private let transaction: OpaquePointer
  private let environment: IndexEnvironment

  init(transaction: OpaquePointer, environment: IndexEnvironment) {
    self.transaction = transaction
    self.environment = environment
  }

  /// Shows the value of a key to `body`, in place; `nil` where the key is not there.
  ///
  /// The bytes lie in the memory map and must not be used after `body` returns.
  func withValue<Result>(
    _ table: IndexTable,
    _ key: UnsafeRawBufferPointer,
    _ body: (UnsafeRawBufferPointer?) throws(ServiceError) -> Result
  ) throws(ServiceError) -> Result {
    var keyValue = MDB_val(key)
    var value = MDB_val()
    let code = mdb_get(transaction, environment.handle(table), &keyValue, &value)
    switch code {
    case MDB_SUCCESS:
      return try body(UnsafeRawBufferPointer(start: value.mv_data, count: value.mv_size))
    case MDB_NOTFOUND, MDB_BAD_VALSIZE:
      // No key of an impossible length was ever stored.
      return try body(nil)
    default:
      throw ServiceError.index(code, "read", environment.path)
    }
  }

  /// Says whether a key is there.
  func contains(
    _ table: IndexTable,
    _ key: UnsafeRawBufferPointer
  ) throws(ServiceError) -> Bool {
    try withValue(table, key) { value throws(ServiceError) in value != nil }
  }

  /// How many keys a table has.
  func count(_ table: IndexTable) throws(ServiceError) -> UInt64 {
    var stat = MDB_stat()
    let code = mdb_stat(transaction, environment.handle(table), &stat)
    if code != MDB_SUCCESS { throw ServiceError.index(code, "read", environment.path) }
    return UInt64(stat.ms_entries)
  }

  /// Shows keys and values in the order of the keys, those after `start`, until `body` says false.
  ///
  /// - Parameter start: The last key already seen; `nil` to begin at the front.
  func forEach(
    _ table: IndexTable,
    after start: [UInt8]?,
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(ServiceError) -> Bool
  ) throws(ServiceError) {
    var opened: OpaquePointer?
    var code = mdb_cursor_open(transaction, environment.handle(table), &opened)
    guard code == MDB_SUCCESS, let cursor = opened else {
      throw ServiceError.index(code, "read", environment.path)
    }
    defer { mdb_cursor_close(cursor) }
    var key = MDB_val()
    var value = MDB_val()
    if let start {
      code = start.withUnsafeBytes { bytes in
        key = MDB_val(bytes)
        return mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE)
      }
      if code == MDB_SUCCESS {
        let found = UnsafeRawBufferPointer(start: key.mv_data, count: key.mv_size)
        if found.elementsEqual(start) { code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT) }
      }
    } else {
      code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST)
    }
    while code == MDB_SUCCESS {
      let goesOn = try body(
        UnsafeRawBufferPointer(start: key.mv_data, count: key.mv_size),
        UnsafeRawBufferPointer(start: value.mv_data, count: value.mv_size)
      )
      if !goesOn { return }
      code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)
    }
    if code != MDB_NOTFOUND { throw ServiceError.index(code, "read", environment.path) }
  }
}

extension MDB_val {
  /// Points LMDB at bytes that it only reads, and only during the call that gets this value.
  init(_ bytes: UnsafeRawBufferPointer) {
    self.init(
      mv_size: bytes.count,
      mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress)
    )
  }
}
