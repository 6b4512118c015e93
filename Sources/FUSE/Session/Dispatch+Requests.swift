internal import Glibc
internal import Platform

extension Worker {
  func handle(
    _ opcode: Opcode?,
    _ reader: inout MessageReader,
    _ fileSystem: some FileSystem
  ) throws(WireError) {
    let header = reader.header
    let node = NodeID(rawValue: header.node)
    let unique = header.unique
    let caller = Caller(user: header.user, group: header.group, thread: header.thread)
    switch opcode {
    case .lookup:
      let name = try reader.takeName()
      let reply = EntryReply(worker: self, unique: unique, limit: 0)
      fileSystem.lookup(name.bytes, in: node, caller: caller, reply: reply)
    case .getattr:
      _ = try reader.take(GetattrIn.self)
      let reply = AttributesReply(worker: self, unique: unique, limit: 0)
      fileSystem.getattr(node, caller: caller, reply: reply)
    case .readlink:
      let reply = LinkReply(worker: self, unique: unique, limit: 0)
      fileSystem.readlink(node, caller: caller, reply: reply)
    case .open, .opendir:
      let flags = OpenFlags(rawValue: try reader.take(OpenIn.self).flags)
      // A virtual machine chooses its own mount flags: it may try.
      guard !flags.wantsWriting else { return refuse(unique, EROFS) }
      let reply = OpenReply(worker: self, unique: unique, limit: 0)
      if opcode == .open {
        fileSystem.open(node, flags: flags, caller: caller, reply: reply)
      } else {
        fileSystem.opendir(node, flags: flags, caller: caller, reply: reply)
      }
    case .read:
      try handleRead(&reader, node, caller, fileSystem)
    case .readdir, .readdirplus:
      let request = try reader.take(ReadIn.self)
      let reply = DirectoryReply(
        worker: self,
        unique: unique,
        limit: Int(request.size),
        wantsEntries: opcode == .readdirplus
      )
      let handle = OpenHandle(rawValue: request.handle)
      fileSystem.readdir(
        node,
        handle: handle,
        from: request.offset,
        caller: caller,
        reply: reply
      )
    case .release, .releasedir:
      let handle = OpenHandle(rawValue: try reader.take(ReleaseIn.self).handle)
      let reply = EmptyReply(worker: self, unique: unique, limit: 0)
      if opcode == .release {
        fileSystem.release(node, handle: handle, reply: reply)
      } else {
        fileSystem.releasedir(node, handle: handle, reply: reply)
      }
    case .statfs:
      let reply = StatisticsReply(worker: self, unique: unique, limit: 0)
      fileSystem.statfs(node, caller: caller, reply: reply)
    default:
      try handleOptional(opcode, &reader, node, caller, fileSystem)
    }
  }

  private func handleRead(
    _ reader: inout MessageReader,
    _ node: NodeID,
    _ caller: Caller,
    _ fileSystem: some FileSystem
  ) throws(WireError) {
    let unique = reader.header.unique
    let request = try reader.take(ReadIn.self)
    // Positions are signed in the kernel; beyond them there is nothing.
    guard request.offset <= UInt64(Int64.max) else { return refuse(unique, EINVAL) }
    // `capacity` is only below the size for a guest that contradicts itself. A reply that we could
    // not hold must be an error, never shorter.
    let size = Swift.min(Int(request.size), capacity)
    guard size <= ScratchBuffer.limit else { return refuse(unique, EIO) }
    let reply = DataReply(worker: self, unique: unique, limit: size)
    fileSystem.read(
      node,
      handle: OpenHandle(rawValue: request.handle),
      offset: request.offset,
      caller: caller,
      reply: reply
    )
  }

  /// Requests that most file systems turn off.
  private func handleOptional(
    _ opcode: Opcode?,
    _ reader: inout MessageReader,
    _ node: NodeID,
    _ caller: Caller,
    _ fileSystem: some FileSystem
  ) throws(WireError) {
    let unique = reader.header.unique
    switch opcode {
    case .getxattr:
      let size = Int(try reader.take(GetxattrIn.self).size)
      let name = try reader.takeName(allowingSlash: true)
      let reply = ExtendedAttributeReply(worker: self, unique: unique, limit: size)
      fileSystem.getxattr(node, name: name.bytes, caller: caller, reply: reply)
    case .listxattr:
      let size = Int(try reader.take(GetxattrIn.self).size)
      let reply = ExtendedAttributeReply(worker: self, unique: unique, limit: size)
      fileSystem.listxattr(node, caller: caller, reply: reply)
    case .access:
      let mask = try reader.take(AccessIn.self).mask
      guard mask & 2 == 0 else { return refuse(unique, EROFS) }
      let reply = EmptyReply(worker: self, unique: unique, limit: 0)
      fileSystem.access(node, mask: mask, caller: caller, reply: reply)
    case .flush:
      let handle = OpenHandle(rawValue: try reader.take(FlushIn.self).handle)
      let reply = EmptyReply(worker: self, unique: unique, limit: 0)
      fileSystem.flush(node, handle: handle, reply: reply)
    case .lseek:
      let request = try reader.take(LseekIn.self)
      let reply = OffsetReply(worker: self, unique: unique, limit: 0)
      fileSystem.lseek(
        node,
        handle: OpenHandle(rawValue: request.handle),
        offset: request.offset,
        whence: request.whence,
        reply: reply
      )
    case .setattr, .symlink, .mknod, .mkdir, .unlink, .rmdir, .rename, .link, .write, .setxattr,
      .removexattr, .create, .fallocate, .rename2, .copyFileRange, .tmpfile, .copyFileRange64:
      refuse(unique, EROFS)
    case .ioctl:
      refuse(unique, ENOTTY)
    default:
      refuse(unique, ENOSYS)
    }
  }
}
