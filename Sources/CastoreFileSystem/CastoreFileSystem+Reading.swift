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
        return reply.answer(count: count) { buffer in
          readLocal(localBlobs, digest, offset, buffer)
        }
      }
    } catch {
      return reply.fail(failure(error, "reading blob \(digest)"))
    }
    reply.detach { [self] reply in
      do {
        let bytes = try await readers.read(digest, at: offset, count: count)
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

  /// - Returns: How many bytes were read; less than asked for makes the whole request fail.
  private func readLocal(
    _ blobs: any LocalBlobAccess,
    _ digest: B3Digest,
    _ offset: UInt64,
    _ buffer: UnsafeMutableRawBufferPointer
  ) -> Int {
    do throws(ServiceError) {
      guard let count = try blobs.readLocal(digest, at: offset, into: buffer) else {
        logger.warning("blob \(digest) is missing")
        return 0
      }
      if count < buffer.count {
        logger.warning("blob \(digest) is shorter than its directory says")
      }
      return count
    } catch {
      logger.warning("reading blob \(digest): \(error)")
      return 0
    }
  }
}
