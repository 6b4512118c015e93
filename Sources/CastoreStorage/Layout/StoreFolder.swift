internal import Castore
internal import Glibc
internal import Platform

/// Opening folders, with errors that name the path.
enum StoreFolder {
  /// Opens a folder by path, following links.
  static func open(_ path: String) throws(ServiceError) -> OwnedDescriptor {
    do throws(Errno) {
      return OwnedDescriptor(
        adopting: try retryingOnInterrupt {
          Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }
      )
    } catch {
      throw ServiceError.system(error, "open \(path)")
    }
  }

  /// Opens a folder inside another, not following a link.
  static func open(
    _ name: String,
    in parent: borrowing OwnedDescriptor,
    path: String
  ) throws(ServiceError) -> OwnedDescriptor {
    let number = parent.number
    do throws(Errno) {
      return OwnedDescriptor(
        adopting: try retryingOnInterrupt {
          openat(number, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        }
      )
    } catch {
      throw ServiceError.system(error, "open \(path)/\(name)")
    }
  }

  /// Creates a folder and those above it that are missing, durably; those above as the umask says.
  static func create(_ path: String, mode: mode_t) throws(ServiceError) {
    if mkdir(path, mode) == 0 { return try syncParent(of: path) }
    let error = Errno.current
    if error.code == EEXIST { return }
    let parent = Self.parent(of: path)
    guard error.code == ENOENT, !parent.isEmpty, parent.count < path.count else {
      throw ServiceError.system(error, "create \(path)")
    }
    try create(parent, mode: 0o777)
    if mkdir(path, mode) == 0 { return try syncParent(of: path) }
    if errno != EEXIST { throw ServiceError.system(.current, "create \(path)") }
  }

  /// A new folder's name may be lost in a crash until the folder that has the name is synced.
  private static func syncParent(of path: String) throws(ServiceError) {
    let parent = Self.parent(of: path)
    let shown = parent.isEmpty ? "." : parent
    let number = Glibc.open(shown, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    // Who may create names in a folder need not be allowed to read it, and only then sync it.
    if number == -1 && errno == EACCES { return }
    if number == -1 { throw ServiceError.system(.current, "open \(shown)") }
    let folder = OwnedDescriptor(adopting: number)
    // Some file systems have nothing to sync for a folder.
    if fsync(folder.number) != 0 && errno != EINVAL {
      throw ServiceError.system(.current, "sync \(shown)")
    }
  }

  /// The path up to its last name, with the slash; empty where there is but one name.
  private static func parent(of path: String) -> String {
    var parent = Substring(path)
    while parent.hasSuffix("/") { parent.removeLast() }
    while let last = parent.last, last != "/" { parent.removeLast() }
    return String(parent)
  }
}
