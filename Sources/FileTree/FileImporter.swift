internal import Castore
internal import Glibc
internal import Platform
internal import Synchronization

/// Stores single files, with a buffer of its own: one for each thread.
final class FileImporter {
  private let sink: any TreeSink
  private let progress: TreeProgress
  private let queue: ImportQueue
  private let limit: Int
  private var buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 64)

  init(sink: any TreeSink, progress: TreeProgress, queue: ImportQueue) {
    self.sink = sink
    self.progress = progress
    self.queue = queue
    limit = sink.inMemoryLimit
  }

  deinit {
    buffer.deallocate()
  }

  func node(of job: ImportJob, describe: () -> String) throws(ServiceError) -> Node {
    let parent = job.handle.number
    let number: CInt
    do throws(Errno) {
      number = try job.name.withCString { (name) throws(Errno) in
        try retryingOnInterrupt { openat(parent, name, TreeImporter.openFlags) }
      }
    } catch {
      throw ServiceError.system(error, "open \(describe())")
    }
    return try node(of: OwnedDescriptor(adopting: number), describe: describe)
  }

  /// Reads and stores an open file.
  ///
  /// - Throws: Also where the file changed meanwhile: neither its old nor its new contents may be what
  ///   was read.
  func node(
    of file: consuming OwnedDescriptor,
    describe: () -> String
  ) throws(ServiceError) -> Node {
    let before = try status(file, describe)
    guard before.st_mode & S_IFMT == S_IFREG, before.st_size >= 0 else {
      throw ServiceError(.invalidArgument, "\(describe()) is not the file that it was a moment ago")
    }
    let size = Int(before.st_size)
    let stored: (digest: B3Digest, size: UInt64)
    if size <= limit {
      // One byte more than there should be, to see a file that grows, and its end, in one read.
      let bytes = try read(file, count: size + 1, describe)
      if bytes.count != size { throw changed(describe) }
      try checkUnchanged(file, since: before, describe)
      stored = (try sink.putBlob(bytes), UInt64(size))
      progress.bytes.wrappingAdd(UInt64(size), ordering: .relaxed)
    } else {
      let progress = progress
      do throws(ServiceError) {
        stored = try sink.putBlob(from: file) { count in
          progress.bytes.wrappingAdd(UInt64(count), ordering: .relaxed)
        }
      } catch {
        throw ServiceError(
          error.code,
          "cannot store \(describe()): \(error.message)",
          cause: error.cause
        )
      }
      if stored.size != UInt64(size) { throw changed(describe) }
      try checkUnchanged(file, since: before, describe)
    }
    progress.files.wrappingAdd(1, ordering: .relaxed)
    let isExecutable = before.st_mode & 0o100 != 0
    return .file(digest: stored.digest, size: stored.size, isExecutable: isExecutable)
  }

  private func read(
    _ file: borrowing OwnedDescriptor,
    count: Int,
    _ describe: () -> String
  ) throws(ServiceError) -> UnsafeRawBufferPointer {
    if buffer.count < count {
      buffer.deallocate()
      buffer = .allocate(byteCount: min(limit + 1, max(count, 2 * buffer.count)), alignment: 64)
    }
    let number = file.number
    var filled = 0
    do throws(Errno) {
      while filled < count {
        guard let base = buffer.baseAddress else { break }
        let got = try retryingOnInterrupt {
          Glibc.read(number, base + filled, count - filled)
        }
        filled += got
        // A plain file gives less than was asked for only at its end; ask again where that is short
        // of what there should be.
        if got == 0 || filled == count - 1 { break }
      }
    } catch {
      throw ServiceError.system(error, "read \(describe())")
    }
    return UnsafeRawBufferPointer(rebasing: buffer[..<filled])
  }

  private func checkUnchanged(
    _ file: borrowing OwnedDescriptor,
    since before: stat,
    _ describe: () -> String
  ) throws(ServiceError) {
    if ChangeStamp(try status(file, describe)) != ChangeStamp(before) { throw changed(describe) }
  }

  private func status(
    _ file: borrowing OwnedDescriptor,
    _ describe: () -> String
  ) throws(ServiceError) -> stat {
    var status = stat()
    if fstat(file.number, &status) != 0 {
      throw ServiceError.system(.current, "look at \(describe())")
    }
    return status
  }

  private func changed(_ describe: () -> String) -> ServiceError {
    ServiceError(.io, "\(describe()) changed while it was read; nothing is recorded, try again")
  }
}
