internal import CLinux
internal import Glibc
internal import Platform
internal import Synchronization
internal import SystemPackage

/// A file that is being made: it has a name in the session's temporary folder only, and goes with this
/// object unless it was published.
final class NewFile: Sendable {
  let session: PackSession
  let name: String
  private let file: OwnedDescriptor
  private let isPublished = Atomic<Bool>(false)

  init(_ session: PackSession, name: String) throws(PackError) {
    self.session = session
    self.name = name
    let folder = session.temporary.number
    file = OwnedDescriptor(
      adopting: try systemCall("create \(name)") {
        openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
      }
    )
    let permissions = mode_t(session.options.permissions)
    let number = file.number
    _ = try systemCall("set the permissions of \(name)") { fchmod(number, permissions) }
  }

  deinit {
    if !isPublished.load(ordering: .relaxed) { unlinkat(session.temporary.number, name, 0) }
  }

  /// Valid as long as this object lives.
  var descriptor: CInt { file.number }

  /// Asks for direct I/O.
  ///
  /// - Returns: Whether the file system takes it, as far as it says so now.
  func setDirect(_ isDirect: Bool) -> Bool {
    let flags = fcntl(descriptor, F_GETFL)
    guard flags != -1 else { return false }
    let wanted = isDirect ? flags | CInt(CLinux_O_DIRECT) : flags & ~CInt(CLinux_O_DIRECT)
    return fcntl(descriptor, F_SETFL, wanted) == 0
  }

  /// Asks for room on the disk ahead of writing: extents in one piece. That it cannot be had is no error.
  func preallocate(_ range: Range<Int>) {
    _ = fallocate(descriptor, 0, range.lowerBound, range.count)
  }

  /// Gives the file its length. Corresponds to `ftruncate(2)`.
  func setLength(_ count: Int) throws(PackError) {
    _ = try systemCall("set the length of \(name)") { ftruncate(descriptor, off_t(count)) }
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(PackError) {
    try FileCalls.write(bytes, to: descriptor, at: offset, name: name)
  }

  /// Tells the system to begin writing; the sync at the end finds less to do.
  func startWriteback(at offset: UInt64, count: Int) {
    _ = sync_file_range(
      descriptor,
      off_t(clamping: offset),
      off_t(count),
      UInt32(CLinux_SYNC_FILE_RANGE_WRITE)
    )
  }

  func sync() throws(PackError) {
    try FileCalls.sync(descriptor, name: name)
  }

  /// Gives the file its name. A file of that name that is there already is an error.
  ///
  /// Durable only when the folder is synced. Corresponds to `renameat2(2)`.
  func publish(in folder: CInt, as final: String) throws(PackError) {
    let temporary = session.temporary.number
    do throws(PackError) {
      _ = try systemCall("name \(final)") {
        renameat2(temporary, name, folder, final, UInt32(CLinux_RENAME_NOREPLACE))
      }
    } catch .system(.invalidArgument, _) {
      // File systems without `RENAME_NOREPLACE` (NFS): a link does not replace either.
      _ = try systemCall("name \(final)") { linkat(temporary, name, folder, final, 0) }
      unlinkat(temporary, name, 0)
    }
    isPublished.store(true, ordering: .relaxed)
  }
}
