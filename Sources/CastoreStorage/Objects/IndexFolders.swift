internal import Castore
internal import Glibc
internal import Packs
internal import Platform

/// The folders that an index is read from: `packs/` and `index/`.
struct IndexFolders: Sendable {
  let storePath: String
  let packs: SharedDescriptor
  let index: SharedDescriptor
  let state: CollectionState

  private static let tableSuffix = ".table"

  /// The name of the table with a number.
  static func tableName(_ id: UInt64) -> String { "\(SessionID(bits: id))\(tableSuffix)" }

  /// Says whether packs may have come or gone since a view was made: one system call.
  func mayHaveChanged(since snapshot: IndexSnapshot) throws(ServiceError) -> Bool {
    let now = try FolderStamp(packs.number, path: "\(storePath)/\(StoreLayout.packsName)")
    return !snapshot.stamp.proves(now)
  }

  /// Looks at what packs and tables there are.
  ///
  /// - Parameter old: An earlier view, whose open tables are used again.
  func load(replacing old: IndexSnapshot?, _ open: PackSet) throws(ServiceError) -> IndexSnapshot {
    // In this order: what is collected after the epoch was read shows in the epoch, what is added after
    // the stamp was taken shows in the stamp.
    let epoch = try state.read().epoch
    let packsPath = "\(storePath)/\(StoreLayout.packsName)"
    let stamp = try FolderStamp(packs.number, path: packsPath)
    // Tables first: a pack that is merged away meanwhile is in a pack that is listed afterwards.
    var tables = try openTables(reusing: old?.tables ?? [])
    let ids = try listPacks(packsPath)
    if let old { for gone in old.packs.subtracting(ids) { open.forget(gone) } }
    tables.sort { ($0.count, $0.id) > ($1.count, $1.id) }
    var covered: Set<PackID> = []
    var kept: [IndexSnapshot.Table] = []
    for table in tables {
      let isPresent = table.packs.map { ids.contains($0) }
      let adds = zip(table.packs, isPresent).contains { $1 && !covered.contains($0) }
      if !adds { continue }
      covered.formUnion(table.packs)
      kept.append(
        IndexSnapshot.Table(
          reader: table,
          name: Self.tableName(table.id),
          isPresent: isPresent
        )
      )
    }
    return IndexSnapshot(
      number: (old?.number ?? 0) + 1,
      epoch: epoch,
      stamp: stamp,
      packs: ids,
      tables: kept,
      uncovered: ids.subtracting(covered).sorted {
        ($0.session, $0.number) < ($1.session, $1.number)
      }
    )
  }

  private func listPacks(_ path: String) throws(ServiceError) -> Set<PackID> {
    var ids: Set<PackID> = []
    for name in try names(in: packs, path) {
      if let (id, kind) = PackID.parse(fileName: name), kind == .pack { ids.insert(id) }
    }
    return ids
  }

  /// Opens all tables that can be read. One that is damaged is as good as missing.
  private func openTables(
    reusing old: [IndexSnapshot.Table]
  ) throws(ServiceError) -> [TableReader] {
    let path = "\(storePath)/\(StoreLayout.indexName)"
    var tables: [TableReader] = []
    for name in try names(in: index, path) where name.hasSuffix(Self.tableSuffix) {
      if let open = old.first(where: { $0.name == name }) {
        tables.append(open.reader)
        continue
      }
      let number = openat(index.number, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
      if number == -1 { continue }
      let file = OwnedDescriptor(adopting: number)
      do throws(PackError) {
        let table = try TableReader(try PackFile(file, name: name))
        if Self.tableName(table.id) == name { tables.append(table) }
      } catch {
        continue
      }
    }
    return tables
  }

  private func names(in folder: SharedDescriptor, _ path: String) throws(ServiceError) -> [String] {
    do throws(Errno) {
      return try folder.withOwned { (folder) throws(Errno) in
        try FolderListing.names(in: folder)
      }.map { String(decoding: $0, as: UTF8.self) }
    } catch {
      throw ServiceError.system(error, "list \(path)")
    }
  }
}
