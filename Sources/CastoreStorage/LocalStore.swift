public import Castore
internal import Glibc
internal import Platform

/// A store in a folder of this machine, open in any number of processes at once.
///
/// Serves blobs, directories and named roots. Reading never waits for writers. Safe to use from any
/// thread and task; the asynchronous functions do their file work on threads of their own. Closed when
/// the last reference goes.
public final class LocalStore: Sendable {
  /// The store's folder.
  public let path: String

  /// Whether the store could only be opened for reading: the medium or the permissions allow no more.
  public var isReadOnly: Bool { core.isReadOnly }

  /// Whether everything that is read is compared with its digest: what lies in the index each time,
  /// a file each time it is opened.
  public let verifiesReads: Bool

  let core: StoreCore
  let openBlobs = OpenBlobCache()
  /// Takes what comes in through the asynchronous functions; made for the first of them.
  let sharedWriter = Guarded<StoreWriter?>(nil)

  /// Opens a store.
  ///
  /// Removes what crashed writers left in `tmp/`. Blocks on the disk. Who opens a store with `create`
  /// counts as somebody who writes: see `collectGarbage`.
  ///
  /// - Parameters:
  ///   - path: The store's folder.
  ///   - create: Whether to make a store of a folder that is missing or empty, with the folders above.
  ///   - verifyReads: See `verifiesReads`.
  /// - Throws: `.invalidArgument` for a folder that is not a store, `.unsupported` for a store of
  ///   a newer format, `.permissionDenied`, `.notFound`, `.corrupt`, `.io`.
  public init(
    path: String,
    create: Bool = false,
    verifyReads: Bool = false
  ) throws(ServiceError) {
    core = try StoreCore(path: path, create: create)
    self.path = path
    verifiesReads = verifyReads
    if create && !core.isReadOnly { try core.includeWriter() }
  }

  /// Starts a bulk write, for an import: see `StoreWriter`.
  public func makeWriter() throws(ServiceError) -> StoreWriter {
    try StoreWriter(core: core)
  }

  /// Expects that much of the store is read once, as rendering big trees does.
  ///
  /// Lets the process map up to some hundred megabytes of the index instead of a few. They lie in the
  /// page cache anyway, and are given up when memory is short, but count as the process's while it reads.
  public func expectBulkReading() {
    core.index.allowMapping(of: 192 << 20)
  }
}
