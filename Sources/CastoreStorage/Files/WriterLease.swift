internal import Castore
internal import Glibc
internal import Platform

/// Says that a process may be writing to a store, or keeps all others from doing so.
///
/// Writers trust that what they have found in the store stays there until they have named it. So they
/// share a `flock` on `tmp/`, which the system drops when the process ends, and a collection, which
/// breaks that trust, takes it alone.
final class WriterLease: Sendable {
  private let folder: OwnedDescriptor

  private init(_ folder: consuming OwnedDescriptor) {
    self.folder = folder
  }

  /// Takes a share. Waits while a collection runs.
  static func share(
    _ folder: consuming OwnedDescriptor,
    path: String
  ) throws(ServiceError) -> WriterLease {
    try lock(folder.number, LOCK_SH, path)
    return WriterLease(folder)
  }

  /// Takes the whole.
  ///
  /// - Parameter waits: Whether to wait for those who have a share.
  /// - Throws: `.unavailable` where somebody has a share and `waits` is false.
  static func exclude(
    _ folder: consuming OwnedDescriptor,
    path: String,
    waits: Bool
  ) throws(ServiceError) -> WriterLease {
    try lock(folder.number, waits ? LOCK_EX : LOCK_EX | LOCK_NB, path)
    return WriterLease(folder)
  }

  private static func lock(_ number: CInt, _ kind: CInt, _ path: String) throws(ServiceError) {
    do throws(Errno) {
      _ = try retryingOnInterrupt { flock(number, kind) }
    } catch {
      if error.code == EWOULDBLOCK {
        throw ServiceError(.unavailable, "somebody may be writing to the store \(path)")
      }
      throw ServiceError.system(error, "lock \(path)/\(StoreLayout.temporaryName)")
    }
  }
}
