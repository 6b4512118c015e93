internal import Castore
internal import Glibc
internal import Platform

/// What the system says about the file of names and the log beside it: another, once somebody wrote.
struct FileStamp: Equatable {
  struct File: Equatable {
    let device: UInt64
    let inode: UInt64
    let size: Int64
    let modified: Int64
    let changed: Int64

    init(_ status: stat) {
      device = UInt64(status.st_dev)
      inode = UInt64(status.st_ino)
      size = Int64(status.st_size)
      modified = Self.nanoseconds(status.st_mtim)
      changed = Self.nanoseconds(status.st_ctim)
    }

    private static func nanoseconds(_ time: timespec) -> Int64 {
      Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
  }

  let names: File
  let log: File?

  /// - Throws: `.corrupt` where there is no file of names.
  init(_ path: String) throws(ServiceError) {
    guard let names = try Self.file(path) else { throw .namesMissing(path) }
    self.names = names
    log = try Self.file("\(path)-wal").flatMap { $0.size > 0 ? $0 : nil }
  }

  /// Whether it is the same file, whatever is in it.
  func isSameFile(as other: FileStamp) -> Bool {
    names.device == other.names.device && names.inode == other.names.inode
  }

  /// Whether somebody wrote so lately that the next write may leave the same times: those of a file
  /// move in steps of a few milliseconds.
  var isFresh: Bool {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let last = max(names.modified, names.changed, log?.modified ?? 0, log?.changed ?? 0)
    let age = Int64(now.tv_sec) &* 1_000_000_000 &+ Int64(now.tv_nsec) &- last
    return (-Self.step...Self.step).contains(age)
  }

  static let step: Int64 = 30_000_000

  private static func file(_ path: String) throws(ServiceError) -> File? {
    var status = stat()
    if lstat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFREG else {
        throw .namesDamaged(path, "\(path) is no file")
      }
      return File(status)
    }
    let error = Errno.current
    if error.code == ENOENT { return nil }
    throw ServiceError(
      error.code == EACCES ? .permissionDenied : .io,
      "cannot look at \(path)",
      cause: error
    )
  }
}
