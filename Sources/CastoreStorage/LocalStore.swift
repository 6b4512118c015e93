public import Castore
internal import Glibc
internal import Platform

/// A store in a folder of this machine, open in any number of processes at once.
///
/// Serves blobs, directories and named roots. Reading never waits for writers, nor for collections. Safe to
/// use from any thread and task; the asynchronous functions do their file work on threads of their own.
/// Closed when the last reference goes. The format is described in docs/store.md.
public final class LocalStore: Sendable {
  /// The store's folder.
  public let path: String

  /// Whether the store could only be opened for reading: the medium or the permissions allow no more.
  public var isReadOnly: Bool { core.isReadOnly }

  /// Whether what is read is compared with its digest the first time: records whole, large blobs by groups of
  /// 16 KiB.
  public var verifiesReads: Bool { core.verifiesReads }

  /// What the store was made with.
  public var options: StoreOptions { core.options }

  let core: StoreCore
  let openBlobs = OpenBlobCache()
  /// Takes what comes in through the asynchronous functions; made for the first of them.
  let sharedWriter = Guarded<StoreWriter?>(nil)
  let shownRoots = Guarded<ShownRoots?>(nil)

  /// Opens a store.
  ///
  /// Removes what crashed writers left in `tmp/`. Blocks on the disk.
  ///
  /// - Parameters:
  ///   - path: The store's folder.
  ///   - create: Whether to make a store of a folder that is missing or empty, with the folders above.
  ///   - options: What a store that is made now is made with.
  ///   - verifyReads: See `verifiesReads`.
  /// - Throws: `.invalidArgument` for a folder that is not a store, `.unsupported` for a store of
  ///   another format, `.permissionDenied`, `.notFound`, `.corrupt`, `.io`.
  public init(
    path: String,
    create: Bool = false,
    options: StoreOptions = StoreOptions(),
    verifyReads: Bool = true
  ) throws(ServiceError) {
    core = try StoreCore(path: path, create: create ? options : nil, verifiesReads: verifyReads)
    self.path = path
  }

  /// Starts a bulk write, for an import: see `StoreWriter`.
  public func makeWriter() throws(ServiceError) -> StoreWriter {
    try StoreWriter(core: core, session: core.session())
  }

  /// For a process that serves others and never ends: lets go of what was written and held before the last
  /// call but one, so that collections may take it where nothing names it. Call it every so many minutes:
  /// that is how long a client has between storing something and naming it.
  public func beginNextPeriod() throws(ServiceError) {
    sharedWriter.withLock { $0 = nil }
    try core.rotateSession()
  }
}
