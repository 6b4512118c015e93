internal import Castore
internal import Packs
internal import Synchronization

/// What is known about the packs of a store at one time. Never changes.
final class IndexSnapshot: Sendable {
  /// A table, and which of its packs are there.
  final class Table: Sendable {
    let reader: TableReader
    let name: String
    /// Which of the table's packs are there.
    let isPresent: [Bool]
    /// Whether something in it was found damaged: it is to be made anew.
    let isDamaged = Atomic<Bool>(false)

    init(reader: TableReader, name: String, isPresent: [Bool]) {
      self.reader = reader
      self.name = name
      self.isPresent = isPresent
    }

    /// The packs that it covers and that are there.
    var packs: [PackID] { zip(reader.packs, isPresent).filter(\.1).map(\.0) }
  }

  /// Grows with each view of one index.
  let number: UInt64
  /// The store's epoch before the packs were listed: see `CollectionState`.
  let epoch: UInt64
  /// What the folders were like.
  let stamp: FolderStamp
  /// All packs there are.
  let packs: Set<PackID>
  /// Tables, those with most entries first.
  let tables: [Table]
  /// Packs that no table covers.
  let uncovered: [PackID]

  init(
    number: UInt64,
    epoch: UInt64,
    stamp: FolderStamp,
    packs: Set<PackID>,
    tables: [Table],
    uncovered: [PackID]
  ) {
    self.number = number
    self.epoch = epoch
    self.stamp = stamp
    self.packs = packs
    self.tables = tables
    self.uncovered = uncovered
  }

  /// Whether this view has packs or tables that an older one lacks, or lacks packs that one has.
  func hasMore(than other: IndexSnapshot) -> Bool {
    packs != other.packs || tables.count != other.tables.count
  }

  /// Finds a record.
  ///
  /// - Throws: Damage only where a pack's own tables cannot be read and the record was found nowhere else.
  func find(
    _ key: PackKey,
    _ kinds: RecordKinds,
    _ open: PackSet,
    _ isAccepted: (FoundObject) throws(ServiceError) -> Bool
  ) throws(ServiceError) -> FoundObject? {
    var damage: ServiceError?
    for table in tables {
      let entry: TableEntry?
      do throws(PackError) {
        entry = try table.reader.find(key, kinds)?.entry
      } catch {
        // Derived, so nothing is lost: the packs themselves know.
        table.isDamaged.store(true, ordering: .relaxed)
        if let found = try search(table.packs, key, kinds, open, isAccepted, &damage) {
          return found
        }
        continue
      }
      guard let entry else { continue }
      let found = FoundObject(pack: table.reader.packs[entry.pack], place: entry.at)
      if table.isPresent[entry.pack], try isAccepted(found) { return found }
      // Of several packs that had the record the table kept one, which is gone or damaged.
      let others = table.packs.filter { $0 != found.pack }
      if let found = try search(others, key, kinds, open, isAccepted, &damage) { return found }
    }
    if let found = try search(uncovered, key, kinds, open, isAccepted, &damage) { return found }
    if let damage { throw damage }
    return nil
  }

  private func search(
    _ packs: [PackID],
    _ key: PackKey,
    _ kinds: RecordKinds,
    _ open: PackSet,
    _ isAccepted: (FoundObject) throws(ServiceError) -> Bool,
    _ damage: inout ServiceError?
  ) throws(ServiceError) -> FoundObject? {
    for id in packs {
      do throws(ServiceError) {
        guard let pack = try open.pack(id) else { continue }
        let place: RecordPlace?
        do throws(PackError) {
          place = try pack.reader.find(key, kinds)
        } catch {
          throw ServiceError(error, in: open.path(of: id))
        }
        guard let place else { continue }
        let found = FoundObject(pack: id, place: place)
        if try isAccepted(found) { return found }
      } catch {
        damage = error
      }
    }
    return nil
  }
}
