internal import Castore
internal import Glibc
internal import Platform

/// The sessions of a store: the folders below `tmp/`.
enum SessionFolders {
  /// Shows every session that lives.
  ///
  /// Sessions that begin meanwhile may or may not be shown.
  static func forEachLive(
    in parent: borrowing OwnedDescriptor,
    path: String,
    _ body: (SessionID, borrowing OwnedDescriptor) throws(ServiceError) -> Void
  ) throws(ServiceError) {
    try forEach(in: parent, path: path) { (id, folder) throws(ServiceError) in
      if flock(folder.number, LOCK_EX | LOCK_NB) == 0 { return }
      if errno != EWOULDBLOCK {
        throw ServiceError.system(.current, "look at the lock of \(path)/\(id)")
      }
      try body(id, folder)
    }
  }

  /// Removes what sessions left behind that are gone. Errors leave things for the next time.
  static func sweep(_ parent: borrowing OwnedDescriptor) {
    let number = parent.number
    try? forEach(in: parent, path: "tmp") { (id, folder) throws(ServiceError) in
      if flock(folder.number, LOCK_EX | LOCK_NB) != 0 { return }
      removeFiles(in: folder)
      unlinkat(number, id.description, AT_REMOVEDIR)
    }
  }

  static func removeFiles(in folder: borrowing OwnedDescriptor) {
    guard let names = try? FolderListing.names(in: folder) else { return }
    for name in names {
      unlinkat(folder.number, name.map { CChar(bitPattern: $0) } + [0], 0)
    }
  }

  private static func forEach(
    in parent: borrowing OwnedDescriptor,
    path: String,
    _ body: (SessionID, borrowing OwnedDescriptor) throws(ServiceError) -> Void
  ) throws(ServiceError) {
    let names: [[UInt8]]
    do throws(Errno) {
      names = try FolderListing.names(in: parent)
    } catch {
      throw ServiceError.system(error, "list \(path)")
    }
    for name in names {
      guard let id = SessionID(name) else { continue }
      let number = openat(
        parent.number,
        id.description,
        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
      )
      if number == -1 {
        // It ended meanwhile.
        if errno == ENOENT { continue }
        throw ServiceError.system(.current, "open \(path)/\(id)")
      }
      try body(id, OwnedDescriptor(adopting: number))
    }
  }
}
