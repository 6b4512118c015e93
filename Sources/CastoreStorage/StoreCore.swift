internal import Castore
internal import CastoreNames
internal import Glibc
internal import Packs
internal import Platform

/// The open parts of a store, shared by its readers and writers.
final class StoreCore: Sendable {
  let path: String
  let options: StoreOptions
  let isReadOnly: Bool
  let verifiesReads: Bool
  let packsFolder: SharedDescriptor
  let indexFolder: SharedDescriptor
  let blobs: BlobFolder
  let state: CollectionState
  let index: ObjectIndex
  let damage: DamageList
  let names: SQLiteNames

  /// `nil` where `tmp/` is missing and cannot be made.
  private let temporary: SharedDescriptor?
  private let condemned: CondemnedObjects
  private let sessions = Guarded(Sessions())

  private struct Sessions {
    var current: Session?
    /// The one before, kept for those who still rely on what it holds.
    var previous: Session?
  }

  /// Opens a store.
  ///
  /// - Parameter create: The options of a store to be made where the folder is missing or empty.
  init(path: String, create: StoreOptions?, verifiesReads: Bool) throws(ServiceError) {
    self.path = path
    self.verifiesReads = verifiesReads
    if let create { try StoreFolder.create(path, mode: create.access.folderMode) }
    let root = SharedDescriptor(try StoreFolder.open(path))
    if let create {
      try root.withOwned { (root) throws(ServiceError) in
        if StoreLayout.isStore(root) { return }
        try StoreLayout.create(in: root, path: path, options: create) { () throws(ServiceError) in
          try SQLiteNames.create(
            at: "\(path)/\(StoreLayout.namesName)",
            permissions: create.access.fileMode
          )
        }
      }
    }
    options = try root.withOwned { (root) throws(ServiceError) in
      try StoreFormat(readingFrom: root, path: path).options
    }
    let isReadOnly = [StoreLayout.packsName, StoreLayout.blobsName, StoreLayout.indexName]
      .contains { (name: String) in
        faccessat(root.number, name, W_OK | X_OK, AT_EACCESS) != 0 && errno != ENOENT
      }
    self.isReadOnly = isReadOnly
    func folder(_ name: String) throws(ServiceError) -> SharedDescriptor {
      SharedDescriptor(
        try root.withOwned { (root) throws(ServiceError) in
          try StoreFolder.open(name, in: root, path: path)
        }
      )
    }
    if !isReadOnly {
      // Folders that hold nothing of value may have been tidied away.
      for name in [StoreLayout.temporaryName, StoreLayout.indexName] {
        if mkdirat(root.number, name, options.access.folderMode) != 0 && errno != EEXIST {
          throw ServiceError.system(.current, "create \(path)/\(name)")
        }
      }
    }
    temporary = isReadOnly ? nil : try folder(StoreLayout.temporaryName)
    temporary?.withOwned { SessionFolders.sweep($0) }
    packsFolder = try folder(StoreLayout.packsName)
    indexFolder = try folder(StoreLayout.indexName)
    let access = options.access
    blobs = try root.withOwned { (root) throws(ServiceError) in
      try BlobFolder(in: root, path: path, access: access)
    }
    let state = try root.withOwned { (root) throws(ServiceError) in
      try CollectionState(in: root, path: path, access: access, writable: !isReadOnly)
    }
    self.state = state
    condemned = CondemnedObjects(in: indexFolder, path: path)
    damage = DamageList(in: root, storePath: path, state: state, access: access)
    try damage.update(try state.read())
    names = try SQLiteNames(
      opening: "\(path)/\(StoreLayout.namesName)",
      isReadOnly: isReadOnly
    )
    index = try ObjectIndex(
      IndexFolders(storePath: path, packs: packsFolder, index: indexFolder, state: state),
      packs: PackSet(packsFolder, path: "\(path)/\(StoreLayout.packsName)")
    )
  }

  // MARK: Sessions

  /// The session of this opening of the store; begins with the first call.
  func session() throws(ServiceError) -> Session {
    if let session = sessions.withLock({ $0.current }) { return session }
    let new = try makeSession()
    return sessions.withLock { sessions in
      if let other = sessions.current { return other }
      sessions.current = new
      return new
    }
  }

  /// Begins a session of its own.
  func makeSession() throws(ServiceError) -> Session {
    guard let temporary else {
      throw ServiceError(.permissionDenied, "the store \(path) is open for reading only")
    }
    let tmpPath = "\(path)/\(StoreLayout.temporaryName)"
    return try Session(
      in: try temporary.reopened(path: tmpPath),
      path: tmpPath,
      access: options.access
    )
  }

  /// Lets go of what the session before the last held, and begins another.
  ///
  /// For a process that serves others for ever: what it wrote and held is kept for at least the time between
  /// two calls, for clients that have not named it yet.
  func rotateSession() throws(ServiceError) {
    if sessions.withLock({ $0.current == nil && $0.previous == nil }) { return }
    let dropped = sessions.withLock { sessions -> Session? in
      defer {
        sessions.previous = sessions.current
        sessions.current = nil
      }
      return sessions.previous
    }
    withExtendedLifetime(dropped) {}
  }

  /// Shows every session of the store that lives.
  func forEachLiveSession(
    _ body: (SessionID, borrowing OwnedDescriptor) throws(ServiceError) -> Void
  ) throws(ServiceError) {
    let tmpPath = "\(path)/\(StoreLayout.temporaryName)"
    guard let temporary else { return }
    try temporary.withOwned { (folder) throws(ServiceError) in
      try SessionFolders.forEachLive(in: folder, path: tmpPath, body)
    }
  }

  // MARK: Relying on what is there

  /// Finds an object that a session is going to rely on, and keeps collections from taking it.
  ///
  /// The order is what makes it safe beside a collector: the hold is written first, then the epoch is read.
  /// Either the collector, which publishes first and then reads the holds, sees the hold; or the epoch shows
  /// here that it has published.
  ///
  /// - Returns: `nil` where the object is missing, damaged or condemned: the session stores it again.
  func relyOn(_ object: HeldObject, for session: Session) throws(ServiceError) -> FoundObject? {
    var snapshot = index.snapshot
    guard
      var found = try index.find(
        object.digest,
        object.kind,
        accepting: { (found) throws(ServiceError) in
          !damage.contains(found)
        }
      )
    else { return nil }
    try session.hold([object])
    while true {
      let reading = try state.read()
      try damage.update(reading)
      if reading.isCollecting {
        switch try condemned.contains(object, epoch: reading.epoch) {
        case nil:
          try awaitEnd(ofEpoch: reading.epoch)
          continue
        case true?: return nil
        case false?: break
        }
      }
      // No collection has removed anything since the packs were listed.
      let seen = snapshot.epoch
      if (seen == reading.epoch || reading.isCollecting && seen == reading.epoch - 1)
        && !damage.contains(found)
      {
        return found
      }
      snapshot = try index.refresh()
      guard
        let again = try index.find(
          object.digest,
          object.kind,
          accepting: { (found) throws(ServiceError) in !damage.contains(found) }
        )
      else { return nil }
      found = again
    }
  }

  /// Waits until a blob's file may get its name: not while a collector may be taking away one of that name.
  ///
  /// The session holds the blob already.
  func awaitRemoval(of digest: B3Digest) throws(ServiceError) {
    let object = HeldObject(digest: digest, kind: .blob)
    while true {
      let reading = try state.read()
      if !reading.isCollecting { return }
      if try condemned.contains(object, epoch: reading.epoch) == false { return }
      try awaitEnd(ofEpoch: reading.epoch)
    }
  }

  /// Waits a moment for a collection to end, or ends one whose collector has died.
  private func awaitEnd(ofEpoch epoch: UInt64) throws(ServiceError) {
    guard let lock = try CollectorLock(store: self, waits: false) else {
      usleep(1000)
      return
    }
    if try state.read().epoch == epoch { try state.setEpoch(epoch + 1) }
    withExtendedLifetime(lock) {}
  }
}
