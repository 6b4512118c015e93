internal import CLMDB
internal import Castore
internal import Glibc
internal import Platform

extension IndexEnvironment {
  /// How much address space the map may take, tried from the top: it is reserved, not used, and the
  /// file grows only as it fills. Smaller ones are for processes under an address space limit.
  private static let mapSizes: [Int] = [40, 38, 36, 34, 32, 30].map { 1 << $0 }

  /// Readers at once over all processes; each takes 64 bytes of the lock file.
  private static let maximalReaders: UInt32 = 1024

  /// Opens the environment in an existing folder, creating its files and tables where they are missing.
  ///
  /// Not to be called twice for one folder in a process: see `IndexRegistry`.
  static func open(
    path: String,
    folder: consuming OwnedDescriptor,
    isReadOnly: Bool
  ) throws(ServiceError) -> IndexEnvironment {
    let environment = try openEnvironment(path: path, isReadOnly: isReadOnly)
    do throws(ServiceError) {
      mdb_reader_check(environment, nil)
      try completeFile(environment, path: path, isReadOnly: isReadOnly)
      let tables = try openTables(environment, path: path, isReadOnly: isReadOnly)
      return IndexEnvironment(
        adopting: environment,
        tables: tables,
        map: findMap(environment),
        folder: folder,
        path: path,
        isReadOnly: isReadOnly
      )
    } catch {
      mdb_env_close(environment)
      throw error
    }
  }

  private static func findMap(_ environment: OpaquePointer) -> IndexMap? {
    var descriptor: mdb_filehandle_t = -1
    mdb_env_get_fd(environment, &descriptor)
    var status = stat()
    var info = MDB_envinfo()
    mdb_env_info(environment, &info)
    guard fstat(descriptor, &status) == 0 else { return nil }
    return IndexMap(inode: status.st_ino, size: info.me_mapsize)
  }

  private static func openEnvironment(
    path: String,
    isReadOnly: Bool
  ) throws(ServiceError) -> OpaquePointer {
    // NOTLS: transactions are pooled, not bound to threads. NORDAHEAD: lookups are random.
    var flags = MDB_NOTLS | MDB_NORDAHEAD
    if isReadOnly {
      flags |= MDB_RDONLY
      // Who may not write the lock file cannot announce its reads. Ours last microseconds, and LMDB
      // leaves what a transaction replaced in place until the one after has begun: a reader would
      // have to sleep through two durable commits in the middle of a lookup to see reused pages.
      if access("\(path)/lock.mdb", W_OK) != 0 { flags |= MDB_NOLOCK }
    }
    var code = ENOMEM
    for size in mapSizes {
      var created: OpaquePointer?
      code = mdb_env_create(&created)
      guard code == MDB_SUCCESS, let environment = created else { break }
      code = mdb_env_set_mapsize(environment, size)
      if code == MDB_SUCCESS { code = mdb_env_set_maxdbs(environment, 16) }
      if code == MDB_SUCCESS { code = mdb_env_set_maxreaders(environment, maximalReaders) }
      if code == MDB_SUCCESS {
        code = mdb_env_open(environment, path, UInt32(flags), 0o644)
      }
      if code == MDB_SUCCESS { return environment }
      mdb_env_close(environment)
      if code != ENOMEM { break }
    }
    throw ServiceError.index(code, "open", path)
  }

  /// Makes sure that the whole map can be touched: a file cut off by accident would otherwise kill
  /// the process with SIGBUS. The hole then reads as zeros, which LMDB and our checks tell as corrupt.
  private static func completeFile(
    _ environment: OpaquePointer,
    path: String,
    isReadOnly: Bool
  ) throws(ServiceError) {
    if try !isShort(environment, path: path) { return }
    if isReadOnly {
      throw ServiceError(
        .corrupt,
        "the index \(path)/data.mdb is shorter than its contents; open the store for writing once"
      )
    }
    // Inside a write transaction nobody else grows the file. The last pages may be missing without
    // any harm, when the transaction that took them gave them back unwritten.
    var opened: OpaquePointer?
    let code = mdb_txn_begin(environment, nil, 0, &opened)
    guard code == MDB_SUCCESS, let transaction = opened else {
      throw ServiceError.index(code, "start writing to", path)
    }
    defer { mdb_txn_abort(transaction) }
    if try !isShort(environment, path: path) { return }
    var descriptor: mdb_filehandle_t = -1
    mdb_env_get_fd(environment, &descriptor)
    let size = off_t(neededBytes(environment))
    do throws(Errno) {
      _ = try retryingOnInterrupt { ftruncate(descriptor, size) }
    } catch {
      throw ServiceError.system(error, "extend \(path)/data.mdb")
    }
  }

  private static func isShort(
    _ environment: OpaquePointer,
    path: String
  ) throws(ServiceError) -> Bool {
    var descriptor: mdb_filehandle_t = -1
    mdb_env_get_fd(environment, &descriptor)
    var status = stat()
    if fstat(descriptor, &status) != 0 {
      throw ServiceError.system(.current, "look at \(path)/data.mdb")
    }
    return status.st_size < neededBytes(environment)
  }

  private static func neededBytes(_ environment: OpaquePointer) -> Int64 {
    var info = MDB_envinfo()
    var statistics = MDB_stat()
    mdb_env_info(environment, &info)
    mdb_env_stat(environment, &statistics)
    let (pages, overflow1) = Int64(clamping: info.me_last_pgno).addingReportingOverflow(1)
    let (bytes, overflow2) = pages.multipliedReportingOverflow(by: Int64(statistics.ms_psize))
    // A page number beyond all bounds cannot be completed; extending the file to there fails cleanly.
    return overflow1 || overflow2 ? Int64.max : bytes
  }

  private static func openTables(
    _ environment: OpaquePointer,
    path: String,
    isReadOnly: Bool
  ) throws(ServiceError) -> [MDB_dbi] {
    // Reading first: a write transaction would wait for a commit that may be going on elsewhere.
    if let tables = try openTables(environment, path: path, flags: MDB_RDONLY) { return tables }
    if !isReadOnly, let tables = try openTables(environment, path: path, flags: 0) {
      return tables
    }
    throw ServiceError(.corrupt, "the index \(path) has not all the tables of a store")
  }

  /// Returns `nil` where a table is missing and the transaction may not create it.
  private static func openTables(
    _ environment: OpaquePointer,
    path: String,
    flags: CInt
  ) throws(ServiceError) -> [MDB_dbi]? {
    var opened: OpaquePointer?
    var code = mdb_txn_begin(environment, nil, UInt32(flags), &opened)
    guard code == MDB_SUCCESS, let transaction = opened else {
      throw ServiceError.index(code, "open", path)
    }
    var tables: [MDB_dbi] = []
    for table in IndexTable.allCases {
      var handle = MDB_dbi()
      let create = flags == MDB_RDONLY ? 0 : MDB_CREATE
      code = mdb_dbi_open(transaction, table.name, UInt32(create), &handle)
      if code != MDB_SUCCESS {
        mdb_txn_abort(transaction)
        if code == MDB_NOTFOUND && flags == MDB_RDONLY { return nil }
        throw ServiceError.index(code, "open", path)
      }
      tables.append(handle)
    }
    // Handles outlive a transaction only if it is committed, also one that only reads.
    code = mdb_txn_commit(transaction)
    if code != MDB_SUCCESS { throw ServiceError.index(code, "open", path) }
    return tables
  }
}
