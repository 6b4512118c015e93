internal import Castore
internal import Glibc
internal import Platform

/// An open file, pipe or socket that somebody else owns.
struct DescriptorOutput {
  let number: CInt

  // F_SETPIPE_SZ, which the importer cannot see.
  private static let setPipeSize: CInt = 1031

  /// Gives a pipe room for much at once, so that its two ends wake each other less often.
  func widen() {
    // Refused by what is no pipe, or where the user has too many wide ones; it works without.
    _ = fcntl(number, Self.setPipeSize, 1 << 20)
  }

  /// Writes all bytes.
  func write(_ bytes: UnsafeRawBufferPointer) throws(ServiceError) {
    var rest = bytes
    while let base = rest.baseAddress, !rest.isEmpty {
      do throws(Errno) {
        let count = try retryingOnInterrupt { Glibc.write(number, base, rest.count) }
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      } catch {
        throw ServiceError(error, "cannot write the NAR")
      }
    }
  }

  /// Writes the first `size` bytes of a file, which has them, without copying through this process.
  func copy(_ file: borrowing OwnedDescriptor, size: UInt64) throws(ServiceError) {
    let source = file.number
    var offset: off_t = 0
    while UInt64(offset) < size {
      let wanted = Int(min(size - UInt64(offset), 1 << 30))
      let count = sendfile(number, source, &offset, wanted)
      if count > 0 { continue }
      if count == 0 {
        throw ServiceError(.corrupt, "a blob ended at byte \(offset) of \(size) while it was sent")
      }
      switch errno {
      case EINTR: continue
      case EAGAIN: try waitUntilWritable()
      // Not every kind of file takes part.
      case _ where Errno.current.meansUnavailable:
        return try copyThroughMemory(source, from: offset, size: size)
      default: throw ServiceError(.current, "cannot write the NAR")
      }
    }
  }

  private func waitUntilWritable() throws(ServiceError) {
    var entry = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
    if poll(&entry, 1, -1) == -1 && errno != EINTR {
      throw ServiceError(.current, "cannot write the NAR")
    }
  }

  private func copyThroughMemory(
    _ source: CInt,
    from start: off_t,
    size: UInt64
  ) throws(ServiceError) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)
    defer { buffer.deallocate() }
    var offset = start
    while UInt64(offset) < size {
      let wanted = Int(min(size - UInt64(offset), UInt64(buffer.count)))
      let count = pread(source, buffer.baseAddress, wanted, offset)
      if count == -1 && errno == EINTR { continue }
      if count <= 0 { throw ServiceError(.current, "cannot read a blob") }
      try write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      offset += off_t(count)
    }
  }
}
