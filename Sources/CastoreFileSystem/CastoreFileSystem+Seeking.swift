internal import CLinux
internal import Castore
public import FUSE
internal import Glibc
internal import Platform

extension CastoreFileSystem {
  /// Finds data and holes: those that the store keeps, on this machine. All else is data.
  public func lseek(
    _ node: NodeID,
    handle: OpenHandle,
    offset: UInt64,
    whence: UInt32,
    reply: consuming OffsetReply
  ) {
    guard let record = nodes.record(node.rawValue) else { return reply.fail(Errno(ESTALE)) }
    let whence = CInt(bitPattern: whence)
    guard record.kind == .file || record.kind == .executable,
      whence == CLinux_SEEK_DATA || whence == CLinux_SEEK_HOLE
    else { return reply.fail(Errno(EINVAL)) }
    guard offset < record.size else { return reply.fail(Errno(ENXIO)) }
    // All data, with the hole behind the end that every file has.
    var found = whence == CLinux_SEEK_DATA ? offset : record.size
    do throws(ServiceError) {
      try withDescriptors { () throws(ServiceError) in
        _ = try localBlobs?.withFileLocal(record.digest, reading: 0..<0) { file in
          // A size that is not the blob's says nothing about where it ends.
          guard file.size == record.size else { return }
          let start = off_t(clamping: file.offset + offset)
          // A position that others may move, too: everybody reads at offsets.
          let position = Glibc.lseek(file.descriptor, start, whence)
          if position >= start {
            found = min(UInt64(position) - file.offset, record.size)
          } else if position < 0 && errno == ENXIO {
            found = record.size
          }
        }
      }
    } catch {
      return reply.fail(failure(error, "looking for holes in blob \(record.digest)"))
    }
    if whence == CLinux_SEEK_DATA && found >= record.size { return reply.fail(Errno(ENXIO)) }
    reply.answer(found)
  }
}
