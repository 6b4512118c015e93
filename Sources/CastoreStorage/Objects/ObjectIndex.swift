internal import Castore
internal import Packs
internal import Platform

/// Where an object is.
struct FoundObject {
  var pack: PackID
  var place: RecordPlace
}

/// Finds objects by their digests, in all packs of a store.
///
/// What finds them is derived: tables over many packs in `index/`, and for packs that no table covers their own
/// tables of contents. A table that is damaged is passed over, and the packs that it covered are searched one
/// by one until somebody has made a new one. Other processes add and remove packs at any time: who finds
/// nothing looks for new packs before he says so.
///
/// Safe to use from any thread.
final class ObjectIndex: Sendable {
  let packs: PackSet
  private let folders: IndexFolders
  private let current: Guarded<IndexSnapshot>

  init(_ folders: IndexFolders, packs: PackSet) throws(ServiceError) {
    self.folders = folders
    self.packs = packs
    current = Guarded(try folders.load(replacing: nil, packs))
  }

  /// What is known now about the packs there are.
  var snapshot: IndexSnapshot { current.withLock { $0 } }

  /// Finds an object.
  ///
  /// - Returns: `nil` where the store has none of that digest.
  /// - Complexity: Mostly one read of 4 KiB for each table; see `TableReader.find`.
  func find(_ digest: B3Digest, _ kind: ObjectKind) throws(ServiceError) -> FoundObject? {
    try find(digest, kind, accepting: { (_) throws(ServiceError) in true })
  }

  /// Finds an object, at the first of its places that is accepted.
  func find(
    _ digest: B3Digest,
    _ kind: ObjectKind,
    accepting isAccepted: (FoundObject) throws(ServiceError) -> Bool
  ) throws(ServiceError) -> FoundObject? {
    var snapshot = snapshot
    while true {
      let found = try snapshot.find(PackKey(digest), kind.records, packs, isAccepted)
      if let found { return found }
      guard let newer = try refreshed(after: snapshot) else { return nil }
      snapshot = newer
    }
  }

  /// Finds an object and opens its pack.
  func open(
    _ digest: B3Digest,
    _ kind: ObjectKind,
    accepting isAccepted: (FoundObject) throws(ServiceError) -> Bool
  ) throws(ServiceError) -> (pack: OpenPack, place: RecordPlace)? {
    // A pack may go between the lookup and its opening; then the object is in another one, or gone.
    for _ in 0..<16 {
      let snapshot = snapshot
      guard let found = try find(digest, kind, accepting: isAccepted) else { return nil }
      if let pack = try packs.pack(found.pack) { return (pack, found.place) }
      try refresh(replacing: snapshot)
    }
    throw ServiceError(
      .unavailable,
      "the packs of \(folders.storePath) change faster than \(digest) can be read"
    )
  }

  /// Looks at what packs there are now.
  @discardableResult
  func refresh() throws(ServiceError) -> IndexSnapshot {
    try refresh(replacing: snapshot)
  }

  @discardableResult
  private func refresh(replacing old: IndexSnapshot) throws(ServiceError) -> IndexSnapshot {
    let newer = try folders.load(replacing: old, packs)
    return current.withLock { current in
      // Another thread may have come first with an even newer view.
      if current.number < newer.number { current = newer }
      return current
    }
  }

  /// A view that may hold more than one that found nothing; `nil` where there is none.
  private func refreshed(after old: IndexSnapshot) throws(ServiceError) -> IndexSnapshot? {
    let current = snapshot
    if current.number > old.number { return current }
    if try !folders.mayHaveChanged(since: old) { return nil }
    let newer = try refresh(replacing: old)
    return newer.number > old.number && newer.hasMore(than: old) ? newer : nil
  }
}
