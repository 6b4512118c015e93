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
  let directories: DirectoryLoader
  let readers: BlobReaders
  let localBlobs: (any LocalBlobAccess)?
  let roots: any RootNodes
  let localRoots: (any LocalRootNodes)?
  let listings: RootListings
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
    self.directories = DirectoryLoader(directories, budget: 32 << 20)
    readers = BlobReaders(blobs, limit: 256)
    localBlobs = blobs as? any LocalBlobAccess
    self.roots = roots
    localRoots = roots as? any LocalRootNodes
    listings = RootListings(roots)
    self.logger = logger
  }

  /// How many nodes the kernel knows.
  public var nodeCount: Int { nodes.count }

  /// The directory's node id and record as a request names it.
  func directory(_ id: NodeID) throws(Errno) -> NodeRecord {
    guard let record = nodes.record(id.rawValue) else { throw Errno(ESTALE) }
    guard record.kind == .directory else { throw Errno(ENOTDIR) }
    return record
  }

  /// Reports what the store could not deliver, and gives the error number for the caller.
  func failure(_ error: any Error, _ what: @autoclosure () -> String) -> Errno {
    if error is CancellationError { return Errno(EINTR) }
    logger.warning("\(what()): \(error)")
    return Errno(EIO)
  }
}

extension CastoreFileSystem: FileSystem {
  /// Nodes of an earlier session of a virtual machine stay valid: ids are never reused.
  public func initialize(_ negotiation: inout Negotiation) {}

  /// Nothing to do: see `initialize`.
  public func destroy() {}

  /// Takes back lookups; the node goes with the last.
  public func forget(_ node: NodeID, count: UInt64) {
    nodes.forget(node.rawValue, lookups: count)
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
    let target = [UInt8](unsafeUninitializedCapacity: SymlinkTarget.maximumByteCount) {
      $1 = nodes.copyTarget(node.rawValue, into: UnsafeMutableRawBufferPointer($0)) ?? 0
    }
    if target.isEmpty { return reply.fail(Errno(EINVAL)) }
    reply.answer(target.span.bytes)
  }

  /// Shows no sizes: what a store holds has nothing to do with what a mount shows.
  public func statfs(_ node: NodeID, caller: Caller, reply: consuming StatisticsReply) {
    reply.answer(Statistics())
  }
}
