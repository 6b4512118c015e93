/// A file system that a transport serves: to this kernel (`Mount`) or to a virtual machine.
///
/// Methods are called on the transport's threads, several at once and in any order. Each gets a
/// reply that it answers once; dropping one unanswered answers `EIO`. Answer at once whatever memory
/// or a local disk can tell. What has to wait for longer moves to a task with
/// `reply.detach { reply in ... }`, so that the thread is free for others. Names are borrowed: they
/// are gone when the method returns. Never touch a path below your own mount point in here.
///
/// Everything but `lookup`, `forget`, `getattr`, `read` and `readdir` has a default that suits a read-only file system:
/// `ENOSYS` for what the kernel then never asks again, as often the fastest answer. Requests
/// that would change something never arrive: the session refuses them with `EROFS`.
public protocol FileSystem: Sendable {
  /// Says what this file system wants of what the kernel offers. Called before any other request, and
  /// again when a virtual machine mounts anew: nodes and handles handed out before are void then.
  func initialize(_ negotiation: inout Negotiation)

  /// The client is gone. A mount ends with it; a virtual machine may begin anew.
  func destroy()

  /// Finds a name in a directory and counts one reference to the node that it answers with.
  ///
  /// The name is 1 to 255 bytes without `/` or NUL. `.` and `..` arrive only if
  /// `exportSupport` was negotiated, and then for any node id, also one that was forgotten, even one
  /// never handed out (`ESTALE`).
  func lookup(
    _ name: RawSpan,
    in parent: NodeID,
    caller: Caller,
    reply: consuming EntryReply
  )

  /// Gives back `count` references to a node, also for answers that did not arrive. There is no reply. Not called for what is left over when
  /// the mount ends.
  func forget(_ node: NodeID, count: UInt64)

  /// Answers with the attributes of a node. Must work for every node at any time.
  func getattr(_ node: NodeID, caller: Caller, reply: consuming AttributesReply)

  /// Answers with the target of a symbolic link.
  func readlink(_ node: NodeID, caller: Caller, reply: consuming LinkReply)

  /// Opens a file. `ENOSYS` turns OPEN and RELEASE off for good, every handle is then `.none`.
  /// Never called for writing.
  func open(_ node: NodeID, flags: OpenFlags, caller: Caller, reply: consuming OpenReply)

  /// Answers with bytes of a file: exactly `reply.count`, fewer only at the end of the file.
  func read(
    _ node: NodeID,
    handle: OpenHandle,
    offset: UInt64,
    caller: Caller,
    reply: consuming DataReply
  )

  /// A handle is closed. The answer is without consequence.
  func release(_ node: NodeID, handle: OpenHandle, reply: consuming EmptyReply)

  /// Opens a directory. `ENOSYS` turns OPENDIR and RELEASEDIR off for good.
  func opendir(_ node: NodeID, flags: OpenFlags, caller: Caller, reply: consuming OpenReply)

  /// Lists a directory from a cookie on (0: from the start), for READDIR and READDIRPLUS.
  func readdir(
    _ node: NodeID,
    handle: OpenHandle,
    from cookie: UInt64,
    caller: Caller,
    reply: consuming DirectoryReply
  )

  /// A handle of a directory is closed.
  func releasedir(_ node: NodeID, handle: OpenHandle, reply: consuming EmptyReply)

  /// Answers with the size of the whole.
  func statfs(_ node: NodeID, caller: Caller, reply: consuming StatisticsReply)

  /// Answers with the value of an extended attribute, or `ENODATA`.
  func getxattr(
    _ node: NodeID,
    name: RawSpan,
    caller: Caller,
    reply: consuming ExtendedAttributeReply
  )

  /// Answers with the names of all extended attributes, each ending in NUL.
  func listxattr(_ node: NodeID, caller: Caller, reply: consuming ExtendedAttributeReply)

  /// Checks rights; never called where the kernel does it by the mode bits (`default_permissions`).
  func access(_ node: NodeID, mask: UInt32, caller: Caller, reply: consuming EmptyReply)

  /// A descriptor is closed.
  func flush(_ node: NodeID, handle: OpenHandle, reply: consuming EmptyReply)

  /// Finds data or holes (`SEEK_DATA`, `SEEK_HOLE`).
  func lseek(
    _ node: NodeID,
    handle: OpenHandle,
    offset: UInt64,
    whence: UInt32,
    reply: consuming OffsetReply
  )
}
