internal import Castore
internal import Glibc
internal import Packs
internal import Platform
internal import Synchronization

/// Somebody's presence in a store, for as long as this object lives: a folder below `tmp/`.
///
/// What a session has written into packs and what it says it holds is kept by every collection. It has a
/// `flock` on its folder, which the system drops when the process dies, in whatever way: a folder whose
/// lock can be taken belongs to nobody.
final class Session: Sendable {
  let id: SessionID
  /// The folder, for messages.
  let path: String
  /// The folder itself; files being written are made here and renamed out of it.
  let folder: OwnedDescriptor

  private let parent: OwnedDescriptor
  private let holds = Guarded<HoldsFile?>(nil)
  private let nextFile = Atomic<UInt64>(0)
  private let packSession = Guarded<PackSession?>(nil)

  /// Makes a folder and takes its lock.
  ///
  /// - Parameters:
  ///   - parent: The store's `tmp/`.
  ///   - path: Its path, for messages.
  ///   - access: Who may read and write what is made.
  init(
    in parent: consuming OwnedDescriptor,
    path: String,
    access: StoreAccess
  ) throws(ServiceError) {
    while true {
      let id = SessionID.random()
      let name = id.description
      if mkdirat(parent.number, name, access.folderMode) != 0 {
        if errno == EEXIST { continue }
        throw ServiceError.system(.current, "create \(path)/\(name)")
      }
      let number = openat(parent.number, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      if number == -1 {
        // Another process swept it away between the two calls: try again.
        if errno == ENOENT { continue }
        throw ServiceError.system(.current, "open \(path)/\(name)")
      }
      let folder = OwnedDescriptor(adopting: number)
      if flock(number, LOCK_EX | LOCK_NB) != 0 { continue }
      // Swept away before the lock was ours.
      var status = stat()
      if fstat(number, &status) != 0 || status.st_nlink == 0 { continue }
      do throws(Errno) {
        try access.apply(toFolder: number)
      } catch {
        throw ServiceError.system(error, "set the mode of \(path)/\(name)")
      }
      self.id = id
      self.path = "\(path)/\(name)"
      self.folder = folder
      self.parent = parent
      return
    }
  }

  deinit {
    SessionFolders.removeFiles(in: folder)
    unlinkat(parent.number, id.description, AT_REMOVEDIR)
  }

  /// A name that no other file of this folder has or had.
  func newFileName() -> String {
    String(nextFile.wrappingAdd(1, ordering: .relaxed).oldValue)
  }

  /// What writes the packs of this session.
  func packs(_ core: StoreCore) throws(ServiceError) -> PackSession {
    if let session = packSession.withLock({ $0 }) { return session }
    var options = PackSession.Options()
    options.permissions = UInt16(truncatingIfNeeded: core.options.access.sealedMode)
    options.cachedBytes = Self.cachedBytes
    let new = PackSession(
      id: id.bits,
      temporary: try StoreFolder.open(".", in: folder, path: path),
      packs: try core.packsFolder.reopened(path: "\(core.path)/\(StoreLayout.packsName)"),
      options: options
    )
    return packSession.withLock { session in
      // The numbers of packs are one sequence.
      if let other = session { return other }
      session = new
      return new
    }
  }

  /// How much is written through the page cache before packs are written past it: what a small import has
  /// stored is probably wanted soon, what a large one has stored would drive out what is.
  private static let cachedBytes = 64 << 20

  /// Records that this session relies on objects, before it does.
  ///
  /// Visible to every collector when this returns; not durable, since a crash ends the session, too.
  func hold(_ objects: [HeldObject]) throws(ServiceError) {
    try holds.withLock { (file) throws(ServiceError) in
      if file == nil { file = try HoldsFile(in: folder, path: path) }
      try file?.append(objects)
    }
  }
}
