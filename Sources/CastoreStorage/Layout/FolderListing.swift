internal import Glibc
internal import Platform

/// The names in a folder.
enum FolderListing {
  /// All names but `.` and `..`, in no order. The folder's own offset is not used.
  static func names(in folder: borrowing OwnedDescriptor) throws(Errno) -> [[UInt8]] {
    let number = folder.number
    let own = try retryingOnInterrupt {
      openat(number, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    }
    guard let stream = fdopendir(own) else {
      let error = Errno.current
      close(own)
      throw error
    }
    defer { closedir(stream) }
    var names: [[UInt8]] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else {
        if errno != 0 { throw Errno.current }
        return names
      }
      // The name ends with NUL inside the entry, which lives until the next call. Its declared type,
      // a tuple of 256, is longer than many an entry: only the bytes up to NUL are touched.
      guard let offset = MemoryLayout<dirent>.offset(of: \.d_name) else { throw Errno(EINVAL) }
      let start = UnsafeRawPointer(entry).advanced(by: offset)
      let length = strlen(start.assumingMemoryBound(to: CChar.self))
      let name = [UInt8](UnsafeRawBufferPointer(start: start, count: length))
      if name != [0x2e] && name != [0x2e, 0x2e] { names.append(name) }
    }
  }
}
