internal import CLMDB
internal import Castore

/// A write transaction. Lives only inside `IndexEnvironment.write`.
struct IndexWriter {
  private let transaction: OpaquePointer
  private let environment: IndexEnvironment
  /// What the transaction sees, its own changes included.
  let reader: IndexReader

  init(transaction: OpaquePointer, environment: IndexEnvironment) {
    self.transaction = transaction
    self.environment = environment
    reader = IndexReader(transaction: transaction, environment: environment)
  }

  /// Sets a key, whether it was there or not.
  func set(
    _ table: IndexTable,
    _ key: UnsafeRawBufferPointer,
    _ value: UnsafeRawBufferPointer
  ) throws(ServiceError) {
    var keyValue = MDB_val(key)
    var newValue = MDB_val(value)
    let code = mdb_put(transaction, environment.handle(table), &keyValue, &newValue, 0)
    if code != MDB_SUCCESS { throw ServiceError.index(code, "write", environment.path) }
  }

  /// Adds a key, letting the caller fill its value in place. Keeps what is there already.
  ///
  /// - Returns: Whether the key is new.
  @discardableResult
  func add(
    _ table: IndexTable,
    _ key: UnsafeRawBufferPointer,
    count: Int,
    fill: (UnsafeMutableRawBufferPointer) -> Void
  ) throws(ServiceError) -> Bool {
    var keyValue = MDB_val(key)
    var newValue = MDB_val(mv_size: count, mv_data: nil)
    let flags = UInt32(MDB_NOOVERWRITE | MDB_RESERVE)
    let code = mdb_put(transaction, environment.handle(table), &keyValue, &newValue, flags)
    if code == MDB_KEYEXIST { return false }
    if code != MDB_SUCCESS { throw ServiceError.index(code, "write", environment.path) }
    fill(UnsafeMutableRawBufferPointer(start: newValue.mv_data, count: count))
    return true
  }

  /// Removes a key.
  ///
  /// - Returns: Whether it was there.
  func remove(
    _ table: IndexTable,
    _ key: UnsafeRawBufferPointer
  ) throws(ServiceError) -> Bool {
    var keyValue = MDB_val(key)
    let code = mdb_del(transaction, environment.handle(table), &keyValue, nil)
    if code == MDB_NOTFOUND || code == MDB_BAD_VALSIZE { return false }
    if code != MDB_SUCCESS { throw ServiceError.index(code, "write", environment.path) }
    return true
  }
}
