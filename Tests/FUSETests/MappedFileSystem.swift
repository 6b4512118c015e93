import FUSE

/// One file whose bytes lie in given memory.
struct MappedFileSystem: FileSystem {
  let address: UInt
  let size: Int

  func lookup(
    _ name: RawSpan,
    in parent: NodeID,
    caller: Caller,
    reply: consuming EntryReply
  ) {
    let inode = InodeNumber(rawValue: 2)
    let attributes = Attributes(
      inode: inode,
      type: .regular,
      permissions: 0o444,
      size: UInt64(size)
    )
    reply.answer(Entry(node: NodeID(rawValue: 2), attributes: attributes))
  }

  func forget(_ node: NodeID, count: UInt64) {}

  func getattr(_ node: NodeID, caller: Caller, reply: consuming AttributesReply) {
    let inode = InodeNumber(rawValue: 1)
    reply.answer(Attributes(inode: inode, type: .directory, permissions: 0o555, size: 0))
  }

  func read(
    _ node: NodeID,
    handle: OpenHandle,
    offset: UInt64,
    caller: Caller,
    reply: consuming DataReply
  ) {
    let bytes = UnsafeRawBufferPointer(
      start: UnsafeRawPointer(bitPattern: address),
      count: size
    )
    reply.answer(UnsafeRawBufferPointer(rebasing: bytes[Int(offset)...]))
  }
}

extension MappedFileSystem {
  func readdir(
    _ node: NodeID,
    handle: OpenHandle,
    from cookie: UInt64,
    caller: Caller,
    reply: consuming DirectoryReply
  ) {
    reply.answer { _ in }
  }
}
