internal import Glibc
internal import Platform

/// Reads a folder's entries one after the other.
struct FolderReader: ~Copyable {
  private let stream: OpaquePointer

  /// Starts at the front of a folder; the handle's own offset is used, so that one reader at a time
  /// may be open for it.
  init(_ folder: FolderHandle) throws(Errno) {
    let number = folder.number
    let own = try retryingOnInterrupt { fcntl(number, F_DUPFD_CLOEXEC, 0) }
    guard let stream = fdopendir(own) else {
      let error = Errno.current
      close(own)
      throw error
    }
    rewinddir(stream)
    self.stream = stream
  }

  deinit {
    closedir(stream)
  }

  /// The next entry but `.` and `..`: its name and the type as the file system gives it, which may be
  /// `DT_UNKNOWN`. `nil` at the end.
  mutating func next() throws(Errno) -> (name: [UInt8], type: UInt8)? {
    while true {
      errno = 0
      guard let entry = readdir(stream) else {
        if errno != 0 { throw Errno.current }
        return nil
      }
      // The name ends with NUL inside the entry, which lives until the next call. Its declared type,
      // a tuple of 256, is longer than many an entry: only the bytes up to NUL are touched.
      guard let offset = MemoryLayout<dirent>.offset(of: \.d_name) else { throw Errno(EINVAL) }
      let start = UnsafeRawPointer(entry).advanced(by: offset)
      let length = strlen(start.assumingMemoryBound(to: CChar.self))
      let name = [UInt8](UnsafeRawBufferPointer(start: start, count: length))
      if name == [0x2e] || name == [0x2e, 0x2e] { continue }
      return (name, entry.pointee.d_type)
    }
  }
}
