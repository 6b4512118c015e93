internal import CLinux
internal import Castore
internal import Glibc
internal import Platform
internal import Synchronization

/// Writes single files, with a buffer of its own.
final class FileWriter {
  private let exporter: TreeExporter
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)

  /// Blobs up to this length are read right away: looking for a file of their own would cost a lookup.
  private static let plainReadLimit: UInt64 = 64 << 10
  /// How much is copied between two looks at whether to stop.
  private static let copyLength = 64 << 20

  init(exporter: TreeExporter) {
    self.exporter = exporter
  }

  deinit {
    buffer.deallocate()
  }

  /// Creates a file that does not exist and fills it with a blob, whose length must be as stated.
  func write(
    _ digest: B3Digest,
    size: UInt64,
    isExecutable: Bool,
    in folder: FolderHandle,
    as name: PathComponent
  ) throws(ServiceError) {
    let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
    let mode: mode_t = isExecutable ? 0o755 : 0o644
    let number = name.withCString { openat(folder.number, $0, flags, mode) }
    if number == -1 { throw ServiceError.system(.current, "create it") }
    let file = OwnedDescriptor(adopting: number)
    // What the kernel copies nobody looks at: it is checked before.
    if size > Self.plainReadLimit, let source = try exporter.blobs.openLocalFile(digest),
      try exporter.blobs.verifyLocal(digest)
    {
      try copy(source, to: file, digest: digest, size: size)
    } else {
      try copyBytes(digest, to: file, size: size)
    }
    do throws(Errno) {
      // Late errors of network file systems show here.
      try file.closeReportingErrors()
    } catch {
      throw ServiceError.system(error, "close it")
    }
  }

  private func copy(
    _ source: borrowing OwnedDescriptor,
    to file: borrowing OwnedDescriptor,
    digest: B3Digest,
    size: UInt64
  ) throws(ServiceError) {
    var status = stat()
    if fstat(source.number, &status) != 0 {
      throw ServiceError.system(.current, "look at blob \(digest)")
    }
    if UInt64(exactly: status.st_size) != size {
      throw wrongLength(digest, expected: size, got: UInt64(clamping: status.st_size))
    }
    // Shares the blob's blocks where the file system can; otherwise the kernel copies.
    if ioctl(file.number, UInt(CLinux_FICLONE), source.number) == 0 {
      exporter.progress.bytes.wrappingAdd(size, ordering: .relaxed)
      return
    }
    var copied: UInt64 = 0
    var dataEnd: UInt64 = 0
    var isCopiedByKernel = true
    while copied < size {
      try exporter.throwIfCancelled()
      if copied >= dataEnd {
        let data = try nextData(of: source, from: copied, size: size)
        dataEnd = data.upperBound
        if data.lowerBound > copied {
          // A hole stays one. Its end is set at once: it may be that of the file.
          if ftruncate(file.number, off_t(data.lowerBound)) != 0 {
            throw ServiceError.system(.current, "write it")
          }
          exporter.progress.bytes.wrappingAdd(data.lowerBound - copied, ordering: .relaxed)
          copied = data.lowerBound
          continue
        }
      }
      let length = Int(min(dataEnd - copied, UInt64(Self.copyLength)))
      let count: Int
      if isCopiedByKernel {
        var (from, to) = (off_t(copied), off_t(copied))
        count = copy_file_range(source.number, &from, file.number, &to, length, 0)
        if count < 0 {
          if errno == EINTR { continue }
          guard errno == EXDEV || Errno.current.meansUnavailable else {
            throw ServiceError.system(.current, "write it")
          }
          isCopiedByKernel = false
          continue
        }
      } else {
        count = try copyThroughMemory(source, to: file, at: copied, length: length)
      }
      if count == 0 { throw wrongLength(digest, expected: size, got: copied) }
      copied += UInt64(count)
      exporter.progress.bytes.wrappingAdd(UInt64(count), ordering: .relaxed)
    }
  }

  /// Where the next bytes stand that are not in a hole: an empty range at `size` where none follow.
  ///
  /// - Parameter size: The length of the file, which a file offset can tell.
  private func nextData(
    of source: borrowing OwnedDescriptor,
    from offset: UInt64,
    size: UInt64
  ) throws(ServiceError) -> Range<UInt64> {
    let start = lseek(source.number, off_t(offset), CInt(CLinux_SEEK_DATA))
    if start < 0 {
      if errno == ENXIO { return size..<size }
      // A file system that knows of no holes.
      return offset..<size
    }
    let end = lseek(source.number, start, CInt(CLinux_SEEK_HOLE))
    let first = min(max(UInt64(start), offset), size)
    return first..<(end > start ? max(first, min(UInt64(end), size)) : size)
  }

  private func copyThroughMemory(
    _ source: borrowing OwnedDescriptor,
    to file: borrowing OwnedDescriptor,
    at offset: UInt64,
    length: Int
  ) throws(ServiceError) -> Int {
    let number = source.number
    guard let base = buffer.baseAddress else { return 0 }
    let count: Int
    do throws(Errno) {
      count = try retryingOnInterrupt {
        pread(number, base, min(length, buffer.count), off_t(offset))
      }
    } catch {
      throw ServiceError.system(error, "read its blob")
    }
    try write(UnsafeRawBufferPointer(rebasing: buffer[..<count]), to: file, at: offset)
    return count
  }

  private func copyBytes(
    _ digest: B3Digest,
    to file: borrowing OwnedDescriptor,
    size: UInt64
  ) throws(ServiceError) {
    var offset: UInt64 = 0
    while true {
      try exporter.throwIfCancelled()
      guard let count = try exporter.blobs.readLocal(digest, at: offset, into: buffer) else {
        throw ServiceError.blobNotFound(digest)
      }
      try write(UnsafeRawBufferPointer(rebasing: buffer[..<count]), to: file, at: offset)
      offset += UInt64(count)
      exporter.progress.bytes.wrappingAdd(UInt64(count), ordering: .relaxed)
      if offset > size || count < buffer.count { break }
    }
    if offset != size { throw wrongLength(digest, expected: size, got: offset) }
  }

  /// Writes at the end of the file; long runs of zeros become holes, wherever they come from.
  private func write(
    _ bytes: UnsafeRawBufferPointer,
    to file: borrowing OwnedDescriptor,
    at offset: UInt64
  ) throws(ServiceError) {
    do throws(Errno) {
      try FileIO.writeSparsely(bytes, to: file.number, at: offset)
    } catch {
      throw ServiceError.system(error, "write it")
    }
  }

  private func wrongLength(
    _ digest: B3Digest,
    expected: UInt64,
    got: UInt64
  ) -> ServiceError {
    ServiceError(
      .corrupt,
      "blob \(digest) has \(got) bytes or more, but the directory says \(expected)"
    )
  }
}
