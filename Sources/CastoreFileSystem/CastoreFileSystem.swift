public import Castore
public import FUSE
internal import Glibc
public import Logging
internal import Platform

/// The read-only file system over a store: roots at the top, their trees below.
///
/// What the store has at hand is answered on the transport's thread; what has to wait for another
/// machine moves to a task, so that nothing else waits with it. Content never changes, so the kernel
/// may keep everything below the root for ever. A directory or blob that is missing in the store is
/// `EIO` on use; `stat` works all the same.
public final class CastoreFileSystem: Sendable {
  let options: FileSystemOptions
  let nodes = NodeTable()
  let places = RootPlaces()
  let cache: StoreCache
  let localBlobs: (any LocalBlobAccess)?
  let roots: any RootNodes
  let localRoots: (any LocalRootNodes)?
  /// For a store that may be out of reach.
  let knownRoots: KnownRoots?
  let listings: RootListings
  let shrinking = Shrinking()
  let backing: BackingFiles
  let logger: Logger

  /// A file system over services. Those that also offer local access are used through it.
  ///
  /// - Parameter logger: Told about objects that are missing or broken.
  public init(
    blobs: any BlobService,
    directories: any DirectoryService,
    roots: any RootNodes,
    options: FileSystemOptions = FileSystemOptions(),
    logger: Logger
  ) {
    self.options = options
    localBlobs = blobs as? any LocalBlobAccess
    // What is on this machine can be had again at once.
    let isAtHand = directories is any LocalDirectoryAccess && localBlobs?.isComplete ?? false
    cache = StoreCache(
      blobs,
      directories,
      isAtHand: isAtHand,
      byteLimit: isAtHand ? options.cacheBytes / 4 : options.cacheBytes
    )
    backing = BackingFiles(limit: options.idleBackingLimit)
    self.roots = roots
    localRoots = roots as? any LocalRootNodes
    knownRoots = localRoots == nil ? KnownRoots() : nil
    let validity = options.rootValidity
    listings = RootListings(
      roots,
      validity: .seconds(Int64(clamping: validity.seconds))
        + .nanoseconds(Int64(validity.nanoseconds)),
      byteLimit: options.cacheBytes / 4
    )
    self.logger = logger
  }

  /// How many nodes the kernel knows.
  public var nodeCount: Int { nodes.count }

  /// What is kept of the store in memory, in bytes, about.
  public var cachedByteCount: Int { cache.byteCount }

  /// Lets go of what was not used since the last call but one; happens by itself as well.
  package func releaseIdle() {
    cache.sweep()
    listings.sweep()
    backing.sweep()
  }

  /// The directory's node id and record as a request names it.
  func directory(_ id: NodeID) throws(Errno) -> NodeRecord {
    guard let record = nodes.record(id.rawValue) else { throw Errno(ESTALE) }
    guard record.kind == .directory else { throw Errno(ENOTDIR) }
    return record
  }

  /// Does something with a directory for a request: at once where the directory is at hand, from a task
  /// where it has to come from afar.
  ///
  /// - Parameters:
  ///   - purpose: What is being done, for the log: "listing directory".
  ///   - now: Answers on this thread.
  ///   - later: Makes what answers from the task, out of what is only lent to this thread.
  func withDirectory<Kind>(
    _ node: NodeID,
    _ reply: consuming Reply<Kind>,
    _ purpose: StaticString,
    now: (consuming Reply<Kind>, NodeRecord, LoadedDirectory) -> Void,
    later: () -> @Sendable (consuming DetachedReply<Kind>, NodeRecord, LoadedDirectory) -> Void
  ) {
    let record: NodeRecord
    do throws(Errno) {
      record = try directory(node)
    } catch {
      return reply.fail(error)
    }
    let atHand: LoadedDirectory?
    do throws(ServiceError) {
      atHand = try withDescriptors { () throws(ServiceError) in
        try cache.directoryAtHand(record.digest)
      }
    } catch {
      return reply.fail(failure(error, "\(purpose) \(record.digest)"))
    }
    if let atHand { return now(reply, record, atHand) }
    let answer = later()
    reply.detach { [self] reply in
      let directory: LoadedDirectory
      do {
        directory = try await cache.directory(record.digest)
      } catch {
        return reply.fail(failure(error, "\(purpose) \(record.digest)"))
      }
      answer(reply, record, directory)
    }
  }

  /// Does something that may take descriptors; where there are none left, once more after those were closed
  /// that are open only because they may be used again.
  func withDescriptors<Result: ~Copyable>(
    _ body: () throws(ServiceError) -> Result
  ) throws(ServiceError) -> Result {
    do throws(ServiceError) {
      return try body()
    } catch {
      guard error.isShortageOfDescriptors else { throw error }
      cache.removeAll()
      localBlobs?.releaseDescriptors()
      return try body()
    }
  }

  /// Reports what the store could not deliver, and gives the error number for the caller.
  func failure(_ error: any Error, _ what: @autoclosure () -> String) -> Errno {
    if error is CancellationError { return Errno(EINTR) }
    logger.warning("\(what()): \(error)")
    return Errno(EIO)
  }
}

extension CastoreFileSystem: FileSystem {
  /// Takes back lookups; the node goes with the last.
  public func forget(_ node: NodeID, count: UInt64) {
    nodes.forget(node.rawValue, lookups: count)
    shrinking.forgot(count: { nodes.count }, shrink: cache.shrink)
  }

  /// Answers from memory alone.
  public func getattr(_ node: NodeID, caller: Caller, reply: consuming AttributesReply) {
    if node == .root {
      return reply.answer(rootAttributes(), for: options.rootValidity)
    }
    guard let record = nodes.record(node.rawValue) else { return reply.fail(Errno(ESTALE)) }
    reply.answer(attributes(of: record))
  }

  /// Answers from memory alone.
  public func readlink(_ node: NodeID, caller: Caller, reply: consuming LinkReply) {
    if node == .root { return reply.fail(Errno(EINVAL)) }
    do throws(Errno) {
      let target = try [UInt8](unsafeUninitializedCapacity: SymlinkTarget.maximumByteCount) {
        (buffer, count) throws(Errno) in
        count = try nodes.copyTarget(
          node.rawValue,
          into: UnsafeMutableRawBufferPointer(buffer)
        )
      }
      reply.answer(target.span.bytes)
    } catch {
      reply.fail(error)
    }
  }

  /// Shows no sizes: what a store holds has nothing to do with what a mount shows.
  public func statfs(_ node: NodeID, caller: Caller, reply: consuming StatisticsReply) {
    reply.answer(Statistics())
  }
}
