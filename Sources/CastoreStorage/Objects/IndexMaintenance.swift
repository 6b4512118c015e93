internal import Castore
internal import Glibc
internal import Packs
internal import Platform
internal import Synchronization

/// Keeps lookups short: makes tables over packs that none covers, and one pack of many small ones.
///
/// Nothing here is needed for the store to be right, and nobody waits for it: whoever seals packs does it, if
/// nobody else is at it.
struct IndexMaintenance {
  let core: StoreCore

  /// How many packs may be searched one by one.
  private static let uncoveredLimit = 8
  /// Packs below this length are small.
  private static let smallPack: UInt64 = 4 << 20
  /// How many small packs there may be.
  private static let smallPackLimit = 16

  /// Does what is worth doing; what goes wrong is left for the next one.
  func runIfWorthwhile(_ session: Session) {
    let snapshot = core.index.snapshot
    if !isWorthwhile(snapshot) { return }
    do throws(ServiceError) {
      guard let lock = try CollectorLock(store: core, waits: false) else { return }
      try mergeSmallPacks(session)
      let snapshot = try core.index.refresh()
      if isWorthwhile(snapshot) { try mergeTables(snapshot, session) }
      withExtendedLifetime(lock) {}
    } catch {
      // Derived data: the store is as good without.
      return
    }
  }

  private func isWorthwhile(_ snapshot: IndexSnapshot) -> Bool {
    snapshot.uncovered.count > Self.uncoveredLimit
      || snapshot.tables.contains { $0.isDamaged.load(ordering: .relaxed) }
  }

  // MARK: Tables

  /// Makes one table of all packs. The caller holds the collector's lock.
  ///
  /// - Returns: The table; `nil` where there are no packs.
  @discardableResult
  func makeWholeTable(
    _ snapshot: IndexSnapshot,
    _ session: Session
  ) throws(ServiceError) -> TableReader? {
    if snapshot.uncovered.isEmpty, snapshot.tables.count == 1, let table = snapshot.tables.first,
      !table.isDamaged.load(ordering: .relaxed), table.isPresent.allSatisfy({ $0 })
    {
      // All of it is going to be believed.
      if (try? table.reader.verify()) != nil { return table.reader }
      table.isDamaged.store(true, ordering: .relaxed)
    }
    if snapshot.packs.isEmpty { return nil }
    return try make(ofTables: snapshot.tables, andPacks: snapshot.uncovered, session)
  }

  /// Makes a table of the packs that none covers, and of as many small ones as keeps the work for each entry
  /// logarithmic.
  private func mergeTables(
    _ snapshot: IndexSnapshot,
    _ session: Session
  ) throws(ServiceError) {
    var count = 0
    for id in snapshot.uncovered { count += try core.index.packs.pack(id)?.reader.count ?? 0 }
    var merged: [IndexSnapshot.Table] = []
    // Least first.
    for table in snapshot.tables.reversed() {
      let isDamaged = table.isDamaged.load(ordering: .relaxed)
      if table.reader.count > 4 * count && !isDamaged { break }
      merged.append(table)
      count += table.reader.count
    }
    for table in snapshot.tables
    where table.isDamaged.load(ordering: .relaxed) && !merged.contains(where: { $0 === table }) {
      merged.append(table)
    }
    try make(ofTables: merged, andPacks: snapshot.uncovered, session)
  }

  /// Makes one table out of several and of packs, and removes those.
  @discardableResult
  private func make(
    ofTables tables: [IndexSnapshot.Table],
    andPacks packs: [PackID],
    _ session: Session
  ) throws(ServiceError) -> TableReader {
    do throws(ServiceError) {
      if tables.contains(where: { $0.isDamaged.load(ordering: .relaxed) }) {
        throw ServiceError(.corrupt, "a table in \(core.path)/\(StoreLayout.indexName) is damaged")
      }
      return try write(tables: tables, packs: packs, session)
    } catch {
      // What is wrong with a table does not matter where its packs are: they are asked themselves.
      if error.code != .corrupt || tables.isEmpty { throw error }
      return try write(
        tables: [],
        packs: tables.flatMap(\.packs) + packs,
        replacing: tables,
        session
      )
    }
  }

  private func write(
    tables: [IndexSnapshot.Table],
    packs: [PackID],
    replacing replaced: [IndexSnapshot.Table]? = nil,
    _ session: Session
  ) throws(ServiceError) -> TableReader {
    let id = UInt64.random(in: 1 ... .max)
    let name = IndexFolders.tableName(id)
    let path = "\(core.path)/\(StoreLayout.indexName)"
    var merge = TableMerge()
    for table in tables {
      let present = Set(table.packs)
      merge.add(table.reader, keeping: { present.contains($0) })
    }
    for id in Set(packs) {
      guard let pack = try core.index.packs.pack(id) else { continue }
      do throws(PackError) {
        try merge.add(pack.reader)
      } catch {
        throw ServiceError(error, in: core.index.packs.path(of: pack.id))
      }
    }
    let folder = try core.indexFolder.reopened(path: path)
    let writer = try session.packs(core)
    do throws(PackError) {
      try merge.write(writer, id: id, in: folder, as: name, isDurable: false)
    } catch {
      throw ServiceError(error, in: path)
    }
    for table in replaced ?? tables { unlinkat(core.indexFolder.number, table.name, 0) }
    try core.index.refresh()
    return try openTable(name)
  }

  private func openTable(_ name: String) throws(ServiceError) -> TableReader {
    guard let table = core.index.snapshot.tables.first(where: { $0.name == name }) else {
      throw ServiceError(
        .corrupt,
        "\(core.path)/\(StoreLayout.indexName)/\(name) cannot be read back"
      )
    }
    return table.reader
  }

  // MARK: Small packs

  /// Makes one pack of many small ones whose sessions have ended. The caller holds the collector's lock.
  private func mergeSmallPacks(_ session: Session) throws(ServiceError) {
    var live: Set<UInt64> = []
    try core.forEachLiveSession { (id, _) throws(ServiceError) in live.insert(id.bits) }
    let snapshot = try core.index.refresh()
    var small: [OpenPack] = []
    for id in snapshot.packs where !live.contains(id.session) || id.session == session.id.bits {
      // One that cannot be opened is for 'verify' to report.
      guard let pack = try? core.index.packs.pack(id) else { continue }
      if pack.reader.header.fileLength < Self.smallPack { small.append(pack) }
    }
    if small.count <= Self.smallPackLimit { return }
    let copier = try PackCopier(core: core, session: session)
    for pack in small { try copier.copy(pack) { _ in true } }
    try copier.finish()
  }
}
