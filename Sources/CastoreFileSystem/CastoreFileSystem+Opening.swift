internal import Castore
public import FUSE
internal import Glibc
internal import Logging
internal import Platform

extension CastoreFileSystem {
  /// Asks for passthrough, if that is the data path, and for mounts with other owners (idmapped): who asks
  /// does not matter here.
  public func initialize(_ negotiation: inout Negotiation) {
    negotiation.wanted.insert(.allowIDMap)
    backing.begin(nil)
    guard options.dataPath == .passthrough, localBlobs != nil, let kernel = negotiation.kernel
    else { return }
    negotiation.wanted.insert(.passthrough)
    negotiation.maxStackDepth = options.maxStackDepth
    guard negotiation.agreed.contains(.passthrough) else {
      logger.notice(
        """
        data path cached: this kernel offers no passthrough (Linux 6.9 with \
        CONFIG_FUSE_PASSTHROUGH has it)
        """
      )
      return
    }
    backing.begin(kernel)
  }

  /// The kernel's registrations end with its connection, and so does what it knew.
  public func destroy() {
    backing.begin(nil)
    nodes.removeAll()
  }

  /// How the kernel comes by the bytes of files, as it turned out.
  public var dataPath: DataPath { backing.isOn ? .passthrough : .cached }

  /// How many blobs' files the kernel has open on our behalf.
  public var backingCount: Int { backing.count }

  /// How many files are open; 0 where the kernel does not say.
  public var openFileCount: Int { backing.openCount }

  /// Turns OPEN off, or hands the blob's file to the kernel.
  ///
  /// Which of the two stays the same while anybody has the file open: the kernel refuses to mix both.
  public func open(_ node: NodeID, flags: OpenFlags, caller: Caller, reply: consuming OpenReply) {
    guard backing.isOn, let localBlobs else { return reply.fail(Errno(ENOSYS)) }
    guard let record = nodes.record(node.rawValue) else { return reply.fail(Errno(ESTALE)) }
    guard record.kind == .file || record.kind == .executable else {
      return reply.fail(Errno(record.kind == .directory ? EISDIR : ELOOP))
    }
    do throws(ServiceError) {
      let content = BackingFiles.Content(digest: record.digest, size: record.size)
      let opening = try backing.open(content) { () throws(ServiceError) in
        try fileToPass(record, localBlobs)
      } onFailure: { error, isFirst in
        self.logFailure(record.digest, error, isFirst)
      }
      switch opening {
      case .passthrough(let id, let handle): reply.answer(handle, passthrough: id)
      case .served(let handle): reply.answer(handle, options: [.keepCache, .noFlush])
      case .off: reply.fail(Errno(ENOSYS))
      }
    } catch {
      reply.fail(failure(error, "opening blob \(record.digest)"))
    }
  }

  /// The blob's file, if the kernel can read it in place of the file that the directory describes.
  private func fileToPass(
    _ record: NodeRecord,
    _ blobs: any LocalBlobAccess
  ) throws(ServiceError) -> OwnedDescriptor? {
    try withDescriptors { () throws(ServiceError) in
      guard let size = try blobs.sizeLocal(record.digest) else {
        // What is not at hand is served from afar.
        guard blobs.isComplete else { return nil }
        throw ServiceError(.notFound, "blob \(record.digest) is missing")
      }
      // With a size that is not the blob's, the file would end where the blob does.
      guard size == record.size else { return nil }
      do throws(ServiceError) {
        return try blobs.openLocalFile(record.digest)
      } catch {
        // A cache may lose what it had a moment ago.
        if blobs.isComplete || error.isShortageOfDescriptors { throw error }
        return nil
      }
    }
  }

  /// Counts an opening down.
  public func release(_ node: NodeID, handle: OpenHandle, reply: consuming EmptyReply) {
    backing.release(handle)
    reply.answer()
  }

  private func logFailure(_ digest: B3Digest, _ error: Errno, _ isFirst: Bool) {
    if isFirst {
      let cause =
        switch error.code {
        case EPERM: "the kernel wants CAP_SYS_ADMIN for it"
        case ELOOP: "the store lies on too many file systems on top of each other"
        default: "\(error)"
        }
      logger.notice("data path cached: passthrough is not possible: \(cause)")
    } else {
      logger.warning("blob \(digest) is not passed through: \(error)")
    }
  }
}
