internal import CLinux
internal import Glibc
internal import Platform

/// Which mount it is, wherever it is moved to and whatever stands in its old place.
///
/// The number alone is given to another mount once this one is gone; with the device it is not, as long as the
/// device is in use, that is until the connection ends.
struct MountIdentity: Hashable {
  /// The number that `/proc/self/mountinfo` shows first.
  let id: UInt64
  /// `major:minor`.
  let device: String

  /// The mount that is on top at a path.
  ///
  /// Sends no request to the file system: it may not be served yet, or no more.
  init(at path: [UInt8]) throws(Errno) {
    self = try Self.opening(path) { (_, identity) in identity }
  }

  private init(of directory: CInt) throws(Errno) {
    var (mount, major, minor): (UInt64, UInt32, UInt32) = (0, 0, 0)
    if CLinux_mount_of(directory, &mount, &major, &minor) == 0 {
      (id, device) = (mount, "\(major):\(minor)")
      return
    }
    // A kernel that is too old (before 5.8) or a filter that does not let us ask.
    let text = try readFile("/proc/self/fdinfo/\(directory)")
    let prefix = Array("mnt_id:".utf8)
    let line = text.split(separator: UInt8(ascii: "\n")).first { $0.starts(with: prefix) }
    let field = String(decoding: line?.dropFirst(prefix.count) ?? [], as: UTF8.self)
    guard let id = UInt64(field.drop { $0 == "\t" || $0 == " " }),
      let entry = try MountTable.current().entries.last(where: { $0.id == id })
    else { throw Errno(ENOSYS) }
    (self.id, device) = (id, entry.device)
  }

  /// Where the mount is now; nothing where it is out of sight.
  ///
  /// - Parameter remembered: Where it was, for when there is no `/proc` to tell.
  func place(remembered: [UInt8]) -> [UInt8]? {
    guard let table = try? MountTable.current() else { return remembered }
    return table.entries.last { $0.id == id && $0.device == device }?.mountPoint
  }

  /// Opens a path, and calls `body` with the directory and the mount that it is on.
  ///
  /// The directory is open only for that time: it keeps the mount busy.
  static func opening<Result>(
    _ path: [UInt8],
    _ body: (CInt, MountIdentity) throws(Errno) -> Result
  ) throws(Errno) -> Result {
    let path = path.map { CChar(bitPattern: $0) } + [0]
    let flags = CInt(CLinux_O_PATH) | O_DIRECTORY | O_CLOEXEC
    let directory = OwnedDescriptor(adopting: try retryingOnInterrupt { open(path, flags) })
    return try body(directory.number, try MountIdentity(of: directory.number))
  }
}
