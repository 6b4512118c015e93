internal import CLMDB
internal import Castore
internal import Glibc
internal import Platform
internal import Synchronization

/// An open LMDB environment with the tables of a store.
///
/// Any number of threads may read and write at once; writers wait for each other, across processes
/// too. LMDB forbids opening one environment twice in a process (closing either would drop the locks
/// of both), so environments come from `IndexRegistry`, which hands out the one that is open.
// Sendable: `environment` is a handle that LMDB allows every thread to use; the handles of the tables
// are written once before anybody else sees the object; the pool is behind locks.
final class IndexEnvironment: @unchecked Sendable {
  /// The folder, for messages.
  let path: String
  let isReadOnly: Bool

  private let environment: OpaquePointer
  /// Holds the folder's inode, by which the registry knows the environment, against reuse.
  private let folder: OwnedDescriptor
  private let tables: [MDB_dbi]
  private let map: IndexMap?
  /// The index's file, which belongs to the environment.
  let descriptor: CInt
  /// Read transactions that are reset, waiting to be renewed: that costs a tenth of starting one.
  private let idleReaders: [Guarded<IdleReaders>]

  /// What lookups have touched since somebody last looked at what is mapped, in bytes, about.
  private let touchedBytes = Atomic<Int>(0)
  /// What the process had mapped of files when pages were last let go of, in bytes.
  private let mappedFloor = Atomic<Int>(IndexMap.residentFileBytes())
  private let mappedLimit = Atomic<Int>(2 << 20)
  // How often to look: for each so many bytes touched; less often where more may be mapped.
  private static let lookingStep = 16 << 20

  private struct IdleReaders {
    // The transactions belong to whoever took them out of here, and to nobody else.
    var transactions: [OpaquePointer] = []
  }

  /// Takes over an environment whose tables are open.
  init(
    adopting environment: OpaquePointer,
    tables: [MDB_dbi],
    map: IndexMap?,
    folder: consuming OwnedDescriptor,
    path: String,
    isReadOnly: Bool
  ) {
    var descriptor: mdb_filehandle_t = -1
    mdb_env_get_fd(environment, &descriptor)
    self.environment = environment
    self.map = map
    self.descriptor = descriptor
    self.folder = folder
    self.tables = tables
    self.path = path
    self.isReadOnly = isReadOnly
    idleReaders = (0..<16).map { _ in Guarded(IdleReaders()) }
  }

  /// Closes the environment. Called once, by the registry, when nobody can use it any more.
  func close() {
    for shard in idleReaders {
      shard.withLock { idle in
        for transaction in idle.transactions { mdb_txn_abort(transaction) }
        idle.transactions = []
      }
    }
    mdb_env_close(environment)
  }

  /// Runs `body` on a consistent view of the index.
  ///
  /// Keep it short: what writers free stays in place for as long as an old view is open. Never
  /// suspends; may block on a page fault.
  /// - Complexity: About a microsecond with one lookup.
  func read<Result>(
    _ body: (borrowing IndexReader) throws(ServiceError) -> Result
  ) throws(ServiceError) -> Result {
    let shard = idleReaders[shardOfThread()]
    let transaction = try renewedReader(from: shard)
    defer {
      mdb_txn_reset(transaction)
      // Sent to the pool: nobody else holds this transaction.
      nonisolated(unsafe) let idle = transaction
      shard.withLock { $0.transactions.append(idle) }
    }
    // Named: passed as a temporary it aborts this toolchain's optimizer (GenericSpecializer).
    let reader = IndexReader(transaction: transaction, environment: self)
    return try body(reader)
  }

  /// Runs `body` in a write transaction and commits it durably, or not at all if `body` throws.
  ///
  /// Waits for other writers, also those of other processes.
  func write<Result>(
    _ body: (borrowing IndexWriter) throws(ServiceError) -> Result
  ) throws(ServiceError) -> Result {
    if isReadOnly {
      throw ServiceError(.permissionDenied, "the store's index \(path) is open for reading only")
    }
    var transaction: OpaquePointer?
    let code = mdb_txn_begin(environment, nil, 0, &transaction)
    guard code == MDB_SUCCESS, let transaction else {
      throw ServiceError.index(code, "start writing to", path)
    }
    let result: Result
    do throws(ServiceError) {
      result = try body(IndexWriter(transaction: transaction, environment: self))
    } catch {
      mdb_txn_abort(transaction)
      throw error
    }
    var committed = mdb_txn_commit(transaction)
    // LMDB reports a write that was cut short as EIO, whatever cut it.
    if committed == EIO && isDiskFull { committed = ENOSPC }
    if committed != MDB_SUCCESS { throw ServiceError.index(committed, "write", path) }
    return result
  }

  private var isDiskFull: Bool {
    var status = statvfs()
    guard fstatvfs(folder.number, &status) == 0 else { return false }
    let blocksInAMebibyte = (1 << 20) / max(1, UInt64(status.f_frsize))
    return UInt64(status.f_bavail) < blocksInAMebibyte
  }

  func handle(_ table: IndexTable) -> MDB_dbi {
    tables[table.rawValue]
  }

  /// How many bytes of the index's file are in use.
  var usedBytes: UInt64 {
    var info = MDB_envinfo()
    var stat = MDB_stat()
    mdb_env_info(environment, &info)
    mdb_env_stat(environment, &stat)
    return (UInt64(info.me_last_pgno) &+ 1).multipliedReportingOverflow(by: UInt64(stat.ms_psize))
      .partialValue
  }

  /// Where in the index's file bytes of the map lie; `nil` where that is not known.
  func fileOffset(of bytes: UnsafeRawBufferPointer) -> Int? {
    map?.offset(of: bytes)
  }

  /// Lets go of the memory that lookups have mapped. Costs a millisecond or less, and a soft page fault
  /// for each page that is needed again: for work that touches all of a large index.
  func releasePages() {
    map?.releasePages(size: usedBytes)
  }

  /// Sets how many bytes lookups may map, about, before they are let go of. Much is faster where most of
  /// a large index is read once; it counts as memory of the process, but is shared and given up at need.
  func allowMapping(of bytes: Int) {
    mappedLimit.store(bytes, ordering: .relaxed)
  }

  /// Counts what a lookup has touched, and lets go of pages when it is much. Not while bytes of the map are
  /// lent that somebody could fault on in vain: they come back by themselves.
  func noteLookup(byteCount: Int) {
    // A fault maps up to sixteen pages at once, if they are in the page cache and were not mapped
    // before: what it comes to is only known by asking, which costs a microsecond or two.
    let cost = byteCount &+ 4 * 4096
    let limit = mappedLimit.load(ordering: .relaxed)
    let step = min(limit / 2, Self.lookingStep)
    let sum = touchedBytes.add(cost, ordering: .relaxed).newValue
    if sum < step { return }
    // One of those who come by at the same time does it.
    guard touchedBytes.exchange(0, ordering: .relaxed) >= step else { return }
    let resident = IndexMap.residentFileBytes()
    if resident - mappedFloor.load(ordering: .relaxed) < limit { return }
    releasePages()
    mappedFloor.store(IndexMap.residentFileBytes(), ordering: .relaxed)
  }

  private func shardOfThread() -> Int {
    // Thread handles are addresses of large blocks: the low bits are always the same.
    let mixed = UInt64(pthread_self()) &* 0x9E37_79B9_7F4A_7C15
    return Int(mixed >> 60)
  }

  private func renewedReader(
    from shard: Guarded<IdleReaders>
  ) throws(ServiceError) -> OpaquePointer {
    // Taken out of the pool: nobody else holds this transaction.
    nonisolated(unsafe) var idle: OpaquePointer?
    shard.withLock { idle = $0.transactions.popLast() }
    if let idle {
      let code = mdb_txn_renew(idle)
      if code == MDB_SUCCESS { return idle }
      mdb_txn_abort(idle)
      if code != MDB_READERS_FULL && code != MDB_BAD_RSLOT {
        throw ServiceError.index(code, "read", path)
      }
    }
    var transaction: OpaquePointer?
    var code = mdb_txn_begin(environment, nil, UInt32(MDB_RDONLY), &transaction)
    if code == MDB_READERS_FULL {
      // Places of readers that died count until somebody looks.
      mdb_reader_check(environment, nil)
      code = mdb_txn_begin(environment, nil, UInt32(MDB_RDONLY), &transaction)
    }
    guard code == MDB_SUCCESS, let transaction else {
      throw ServiceError.index(code, "read", path)
    }
    return transaction
  }
}
