internal import CLMDB
internal import Castore
internal import Glibc
internal import Platform

/// The environments that this process has open, one per folder.
enum IndexRegistry {
  struct FolderID: Hashable {
    var device: dev_t
    var inode: ino_t
  }

  private struct Entry {
    var environment: IndexEnvironment
    var users: Int
  }

  private static let entries = Guarded<[FolderID: Entry]>([:])

  /// A share in an open environment; the last one to go closes it.
  final class Lease: Sendable {
    let environment: IndexEnvironment
    private let folder: FolderID

    init(environment: IndexEnvironment, folder: FolderID) {
      self.environment = environment
      self.folder = folder
    }

    deinit {
      // Whoever uses the environment holds a lease, so at the last one nobody does.
      IndexRegistry.release(folder)
    }
  }

  /// Opens the environment in a folder, or shares the one that is open.
  ///
  /// Opening happens under the lock, against the rule, because two threads that open the same folder
  /// must not both do so.
  static func open(path: String, isReadOnly: Bool) throws(ServiceError) -> Lease {
    let descriptor = try StoreFolder.open(path)
    var status = stat()
    if fstat(descriptor.number, &status) != 0 {
      throw ServiceError.system(.current, "look at \(path)")
    }
    let folder = FolderID(device: status.st_dev, inode: status.st_ino)
    var unused: OwnedDescriptor? = consume descriptor
    return try entries.withLock { entries throws(ServiceError) in
      if var entry = entries[folder] {
        if entry.environment.isReadOnly && !isReadOnly {
          throw ServiceError(
            .unavailable,
            "\(path) is open for reading only in this process and cannot be opened for writing"
          )
        }
        entry.users += 1
        entries[folder] = entry
        return Lease(environment: entry.environment, folder: folder)
      }
      guard let descriptor = unused.take() else { preconditionFailure("taken once") }
      let environment = try IndexEnvironment.open(
        path: path,
        folder: descriptor,
        isReadOnly: isReadOnly
      )
      entries[folder] = Entry(environment: environment, users: 1)
      return Lease(environment: environment, folder: folder)
    }
  }

  private static func release(_ folder: FolderID) {
    entries.withLock { entries in
      guard var entry = entries[folder] else { return }
      entry.users -= 1
      if entry.users == 0 {
        // Under the lock: nobody may open the folder anew before this has ended.
        entries[folder] = nil
        entry.environment.close()
      } else {
        entries[folder] = entry
      }
    }
  }
}
