internal import CLinux
internal import Glibc
internal import Platform
internal import Synchronization
internal import SystemPackage

/// A file that is being made: it has a name in the session's temporary folder only, and goes with this
/// object unless it was published.
final class NewFile: Sendable {
  struct Options: Sendable {
    /// Past the page cache, where the file system does that. Offsets and lengths are multiples of the page.
    var isDirect = false
    /// Whole blocks of zeros are not written.
    var leavesHoles = false
    /// Where room is asked for ahead of writing.
    var preallocated = 0..<0
  }

  /// What is left out where holes are left: large, so that a file does not end up in many small pieces.
  private static let holeLength = 64 << 10

  let session: PackSession
  let name: String
  private let file: OwnedDescriptor
  private let leavesHoles: Bool
  private let isDirect: Atomic<Bool>
  private let isPublished = Atomic<Bool>(false)

  init(_ session: PackSession, name: String, _ options: Options = Options()) throws(PackError) {
    let folder = session.temporary.number
    let flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
    let number = try systemCall("create \(name)") { openat(folder, name, flags, 0o600) }
    self.session = session
    self.name = name
    file = OwnedDescriptor(adopting: number)
    leavesHoles = options.leavesHoles
    // Not all file systems say no now: some do when something is written.
    isDirect = Atomic(options.isDirect && !session.isDirectRefused && Self.setDirect(number, true))
    if options.isDirect && !isDirect.load(ordering: .relaxed) { session.refuseDirect() }
    let permissions = mode_t(session.options.permissions)
    _ = try systemCall("set the permissions of \(name)") { fchmod(number, permissions) }
    if isDirect.load(ordering: .relaxed) && !options.preallocated.isEmpty {
      // Extents in one piece. That it cannot be had is no error.
      _ = fallocate(number, 0, options.preallocated.lowerBound, options.preallocated.count)
    }
  }

  deinit {
    if !isPublished.load(ordering: .relaxed) { unlinkat(session.temporary.number, name, 0) }
  }

  /// Valid as long as this object lives.
  var descriptor: CInt { file.number }

  private static func setDirect(_ descriptor: CInt, _ isDirect: Bool) -> Bool {
    let flags = fcntl(descriptor, F_GETFL)
    guard flags != -1 else { return false }
    let wanted = isDirect ? flags | CInt(CLinux_O_DIRECT) : flags & ~CInt(CLinux_O_DIRECT)
    return fcntl(descriptor, F_SETFL, wanted) == 0
  }

  /// Gives the file its length. Corresponds to `ftruncate(2)`.
  func setLength(_ count: Int) throws(PackError) {
    _ = try systemCall("set the length of \(name)") { ftruncate(descriptor, off_t(count)) }
  }

  /// Writes bytes; where holes are left, all but blocks of zeros.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(PackError) {
    if !leavesHoles { return try writeAll(bytes, at: offset) }
    // What waits to be written, and the place where the next block begins.
    var start = 0
    var place = 0
    while place < bytes.count {
      let end = min((offset + place + 1).rounded(up: Self.holeLength) - offset, bytes.count)
      let block = UnsafeRawBufferPointer(rebasing: bytes[place..<end])
      if block.count == Self.holeLength && block.isZero {
        try writeAll(UnsafeRawBufferPointer(rebasing: bytes[start..<place]), at: offset + start)
        start = end
      }
      place = end
    }
    try writeAll(UnsafeRawBufferPointer(rebasing: bytes[start...]), at: offset + start)
  }

  private func writeAll(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(PackError) {
    do throws(PackError) {
      try FileCalls.write(bytes, to: descriptor, at: UInt64(offset), name: name)
    } catch .system(.invalidArgument, let what) {
      // Direct I/O is turned down only now: through the page cache from here on.
      guard isDirect.exchange(false, ordering: .relaxed), Self.setDirect(descriptor, false) else {
        throw PackError.system(.invalidArgument, what)
      }
      session.refuseDirect()
      try FileCalls.write(bytes, to: descriptor, at: UInt64(offset), name: name)
    }
    // The sync at the end finds less to do.
    if !isDirect.load(ordering: .relaxed) && bytes.count >= 1 << 20 {
      _ = sync_file_range(
        descriptor,
        off_t(offset),
        off_t(bytes.count),
        UInt32(CLinux_SYNC_FILE_RANGE_WRITE)
      )
    }
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

extension UnsafeRawBufferPointer {
  fileprivate var isZero: Bool {
    guard let base = baseAddress, self[0] == 0 else { return isEmpty }
    // The first byte is zero, and every other one is what stands before it.
    return memcmp(base, base + 1, count - 1) == 0
  }
}
