internal import Castore
public import FUSE
internal import Glibc
internal import Logging
internal import Platform

extension CastoreFileSystem {
  /// Reads a file: from this machine on the calling thread, otherwise from a task.
  public func read(
    _ node: NodeID,
    handle: OpenHandle,
    offset: UInt64,
    caller: Caller,
    reply: consuming DataReply
  ) {
    guard let record = nodes.record(node.rawValue) else { return reply.fail(Errno(ESTALE)) }
    guard record.kind == .file || record.kind == .executable else {
      return reply.fail(Errno(record.kind == .directory ? EISDIR : EINVAL))
    }
    guard offset < record.size else {
      return reply.answer(UnsafeRawBufferPointer(start: nil, count: 0))
    }
    // Fits: limited by what was asked for.
    let count = Int(min(UInt64(reply.count), record.size - offset))
    let digest = record.digest
    do throws(ServiceError) {
      if let localBlobs, try isAtHand(digest, localBlobs) {
        return reply.answer(count: count) { sender throws(Errno) in
          try sendLocal(localBlobs, record, offset, &sender)
        }
      }
    } catch {
      return reply.fail(failure(error, "reading blob \(digest)"))
    }
    reply.detach { [self] reply in
      do {
        let bytes = try await cache.read(digest, at: offset, count: count)
        reply.answer(bytes.span.bytes)
      } catch {
        reply.fail(failure(error, "reading blob \(digest)"))
      }
    }
  }

  private func isAtHand(
    _ digest: B3Digest,
    _ blobs: any LocalBlobAccess
  ) throws(ServiceError) -> Bool {
    if blobs.isComplete { return true }
    return try blobs.holdsLocal(digest)
  }

  /// Sends bytes of a blob on this machine by the shortest way: from memory, from a file, or copied.
  private func sendLocal(
    _ blobs: any LocalBlobAccess,
    _ record: NodeRecord,
    _ offset: UInt64,
    _ sender: inout DataSender
  ) throws(Errno) {
    do throws(ServiceError) {
      try withDescriptors { () throws(ServiceError) in
        // Files of many megabytes are never lent from memory: spare them the question.
        if record.size <= Self.lentLimit {
          _ = try blobs.withBytesLocal(record.digest) { bytes in
            // Fits: below a size that was compared with the limit.
            let start = min(Int(offset), bytes.count)
            let part = bytes[start..<min(start + sender.count, bytes.count)]
            if part.count < sender.count { logShort(record.digest) }
            sender.send(UnsafeRawBufferPointer(rebasing: part))
          }
          if sender.isSpent { return }
        }
        _ = try blobs.withFileLocal(
          record.digest,
          reading: offset..<(offset + UInt64(sender.count))
        ) { file in
          // The reader was promised bytes that are not there, or are another blob's.
          guard offset <= file.size, UInt64(sender.count) <= file.size - offset else {
            logShort(record.digest)
            return sender.fail(Errno(EIO))
          }
          sender.send(file: file.descriptor, offset: file.offset + offset)
        }
        if sender.isSpent { return }
        try copyLocal(blobs, record.digest, offset, &sender)
      }
    } catch {
      throw failure(error, "reading blob \(record.digest)")
    }
  }

  private static var lentLimit: UInt64 { 8 << 20 }

  private func logShort(_ digest: B3Digest) {
    logger.warning("blob \(digest) is shorter than its directory says")
  }

  private func copyLocal(
    _ blobs: any LocalBlobAccess,
    _ digest: B3Digest,
    _ offset: UInt64,
    _ sender: inout DataSender
  ) throws(ServiceError) {
    var failure: ServiceError?
    sender.fill { buffer in
      do throws(ServiceError) {
        guard let count = try blobs.readLocal(digest, at: offset, into: buffer) else {
          throw ServiceError(.notFound, "blob \(digest) is missing")
        }
        // Less than asked for makes the whole request fail.
        if count < buffer.count { logShort(digest) }
        return count
      } catch {
        failure = error
        return 0
      }
    }
    // The client has its answer already.
    if let failure { throw failure }
  }
}
