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

  /// Creates a folder and those above it that are missing.
  static func create(_ path: String) throws(ServiceError) {
    if mkdir(path, 0o777) == 0 || errno == EEXIST { return }
    let error = Errno.current
    var parent = Substring(path)
    while parent.hasSuffix("/") { parent.removeLast() }
    while let last = parent.last, last != "/" { parent.removeLast() }
    guard error.code == ENOENT, !parent.isEmpty, parent.count < path.count else {
      throw ServiceError.system(error, "create \(path)")
    }
    try create(String(parent))
    if mkdir(path, 0o777) != 0 && errno != EEXIST {
      throw ServiceError.system(.current, "create \(path)")
    }
  }
}
