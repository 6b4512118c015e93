internal import Glibc
internal import Platform

// ENOSYS where the kernel remembers it and takes its own, faster way.
extension FileSystem {
  /// Takes the negotiation as configured.
  public func initialize(_ negotiation: inout Negotiation) {}

  /// Does nothing.
  public func destroy() {}

  /// Answers `EINVAL`: there are no links.
  public func readlink(_ node: NodeID, caller: Caller, reply: consuming LinkReply) {
    reply.fail(Errno(EINVAL))
  }

  /// Turns OPEN off.
  public func open(_ node: NodeID, flags: OpenFlags, caller: Caller, reply: consuming OpenReply) {
    reply.fail(Errno(ENOSYS))
  }

  /// Answers success.
  public func release(_ node: NodeID, handle: OpenHandle, reply: consuming EmptyReply) {
    reply.answer()
  }

  /// Turns OPENDIR off; listings are then cached.
  public func opendir(
    _ node: NodeID,
    flags: OpenFlags,
    caller: Caller,
    reply: consuming OpenReply
  ) {
    reply.fail(Errno(ENOSYS))
  }

  /// Answers success.
  public func releasedir(_ node: NodeID, handle: OpenHandle, reply: consuming EmptyReply) {
    reply.answer()
  }

  /// Answers with an empty file system.
  public func statfs(_ node: NodeID, caller: Caller, reply: consuming StatisticsReply) {
    reply.answer(Statistics())
  }

  /// Turns values of extended attributes off.
  public func getxattr(
    _ node: NodeID,
    name: RawSpan,
    caller: Caller,
    reply: consuming ExtendedAttributeReply
  ) {
    reply.fail(Errno(ENOSYS))
  }

  /// Answers that there are none, as any file system without attributes does: "not supported" is an error to
  /// programs that copy or archive what there is.
  public func listxattr(
    _ node: NodeID,
    caller: Caller,
    reply: consuming ExtendedAttributeReply
  ) {
    reply.answer(RawSpan())
  }

  /// Lets the kernel decide.
  public func access(_ node: NodeID, mask: UInt32, caller: Caller, reply: consuming EmptyReply) {
    reply.fail(Errno(ENOSYS))
  }

  /// Turns FLUSH off.
  public func flush(_ node: NodeID, handle: OpenHandle, reply: consuming EmptyReply) {
    reply.fail(Errno(ENOSYS))
  }

  /// Lets the kernel answer: all data, a hole at the end.
  public func lseek(
    _ node: NodeID,
    handle: OpenHandle,
    offset: UInt64,
    whence: UInt32,
    reply: consuming OffsetReply
  ) {
    reply.fail(Errno(ENOSYS))
  }
}
