internal import Castore
internal import CastoreNames
internal import Glibc
internal import Packs
internal import Platform

/// One collection. The caller holds the collector's lock.
///
/// 1. What sessions live is listed, then what packs there are, then what is referred to: by names, by what
///    sessions hold, by what lies in packs of live sessions. All below it is marked. Packs with little garbage
///    stay as they are, and what is in them is marked, too: whatever is in the store has all below it there.
/// 2. What is not marked is published as condemned, and the epoch becomes odd: who comes to rely on such
///    an object from now on stores it again.
/// 3. What sessions hold is read once more, then the names: who relied on an object before it was published has
///    said so by then. These are marked, too, and what lies in packs that came since 1: a session that ended
///    without a name may have left a directory there, with all below it.
/// 4. Packs with garbage are copied without it and go; files of blobs that no pack knows go.
/// 5. The epoch becomes even.
struct Collector {
  let core: StoreCore
  let session: Session
  let unnamedSince: Int64?
  private let began: Int64

  init(core: StoreCore, unnamedSince: Int64?) throws(ServiceError) {
    self.core = core
    self.unnamedSince = unnamedSince
    session = try core.makeSession()
    began = Int64(time(nil))
  }

  func run(dryRun: Bool) throws(ServiceError) -> StoreCollection {
    var result = StoreCollection()
    try tidyUp()
    // 1.
    let live = try liveSessions()
    let snapshot = try core.index.refresh()
    guard let table = try IndexMaintenance(core: core).makeWholeTable(snapshot, session) else {
      try removeOrphans(try orphans(nil), dryRun, &result)
      return result
    }
    var marks = ObjectMarks(core, table)
    try markHolds(&marks)
    try markReferences(&marks)
    try markPacks(&marks, table) { live.contains($0.session) }
    let rewritten = try packsToRewrite(table, marks, live)
    try markPacks(&marks, table) { !rewritten.contains($0) && !live.contains($0.session) }
    let orphans = try orphans(table)
    if dryRun {
      try count(table, marks, rewritten, &result)
      try removeOrphans(orphans, true, &result)
      return result
    }
    // 2.
    let epoch = try core.state.read().epoch + 1
    try publish(table, marks, orphans, epoch)
    try core.state.setEpoch(epoch)
    // 3. In this order: a session that ends in between has named what it holds.
    try markHolds(&marks)
    try markReferences(&marks)
    try markNewPacks(&marks, table)
    // 4.
    try count(table, marks, rewritten, &result)
    try rewrite(rewritten, table, marks, &result)
    try removeOrphans(
      orphans.filter { !marks.isMarked(.init(digest: $0.digest, kind: .blob)) },
      false,
      &result
    )
    // 5.
    try core.state.setEpoch(epoch + 1)
    unlinkat(core.indexFolder.number, CondemnedObjects.name(epoch: epoch), 0)
    let newer = try core.index.refresh()
    try IndexMaintenance(core: core).makeWholeTable(newer, session)
    try core.names.forgetUnnamed(before: unnamedSince ?? began)
    return result
  }

  /// Marks what is reachable now, and changes nothing but the index.
  ///
  /// - Returns: `nil` for an empty store.
  func markAll() throws(ServiceError) -> (TableReader, ObjectMarks)? {
    let live = try liveSessions()
    let snapshot = try core.index.refresh()
    guard let table = try IndexMaintenance(core: core).makeWholeTable(snapshot, session) else {
      return nil
    }
    var marks = ObjectMarks(core, table)
    try markHolds(&marks)
    try markReferences(&marks)
    try markPacks(&marks, table) { live.contains($0.session) && $0.session != session.id.bits }
    return (table, marks)
  }
}
