internal import Castore
internal import Glibc
internal import Platform

/// What makes a process the one that changes the set of packs of a store: collects, or merges packs.
///
/// A `flock` on `index/`; the system drops it when the process dies.
final class CollectorLock: Sendable {
  private let folder: OwnedDescriptor

  /// Takes the lock.
  ///
  /// - Returns: `nil` where another has it and `waits` is false.
  init?(store: StoreCore, waits: Bool) throws(ServiceError) {
    let path = "\(store.path)/\(StoreLayout.indexName)"
    // A lock belongs to an opening of the folder: this one is nobody else's.
    let folder = try store.indexFolder.reopened(path: path)
    let number = folder.number
    do throws(Errno) {
      _ = try retryingOnInterrupt { flock(number, waits ? LOCK_EX : LOCK_EX | LOCK_NB) }
    } catch {
      if error.code == EWOULDBLOCK { return nil }
      throw ServiceError.system(error, "lock \(path)")
    }
    self.folder = folder
  }
}
