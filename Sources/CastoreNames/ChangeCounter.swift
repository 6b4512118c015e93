internal import Castore
internal import Glibc
internal import Platform

/// The count of changes in a small file beside the names, so that who watches them asks the kernel for
/// 40 bytes and not SQLite for a transaction.
///
/// A writer, who holds SQLite's lock and this file's, writes which change begins, commits, and writes
/// that it is done. So a reader that finds both equal knows the state; one that does not (a writer is
/// at it, or died) asks the names. The file is never synced: what a power cut leaves is at most older,
/// and nobody who remembers a newer count is left then.
///
/// After a crash it also tells of what should be there: a commit is durable before it is called done.
final class ChangeCounter: Sendable {
  struct Counts: Equatable {
    /// The change that began last, and the one that was done last.
    var begun: UInt64
    var done: UInt64
    /// The changes in which a table changed last.
    var roots: UInt64
    var pathInfos: UInt64

    var isSettled: Bool { begun == done }
  }

  private final class File: Sendable {
    let descriptor: OwnedDescriptor

    init(_ descriptor: consuming OwnedDescriptor) {
      self.descriptor = descriptor
    }
  }

  let path: String
  private let isReadOnly: Bool
  private let file = Guarded<File?>(nil)

  init(besides names: String, isReadOnly: Bool) {
    path = "\(names).changes"
    self.isReadOnly = isReadOnly
  }

  /// What the file says; `nil` where it says nothing that can be believed.
  func read() -> Counts? {
    guard let file = current() else { return nil }
    var record = Record(repeating: 0)
    let count = withUnsafeMutableBytes(of: &record) { buffer in
      pread(file.descriptor.number, buffer.baseAddress, buffer.count, 0)
    }
    guard count == MemoryLayout<Record>.size, record[4] == Self.checksum(record) else { return nil }
    return Counts(begun: record[0], done: record[1], roots: record[2], pathInfos: record[3])
  }

  /// Runs a commit between saying that it begins and that it is done. The caller holds the names' own
  /// lock: nobody waits for that while holding this one.
  func count<Result>(
    _ counts: Counts,
    _ commit: () throws(ServiceError) -> Result
  ) throws(ServiceError) -> Result {
    // Without the file (no room for it, say) a commit is a commit all the same; but a file that
    // cannot be written must not go on saying what is no longer so.
    guard let file = current() else { return try commit() }
    while flock(file.descriptor.number, LOCK_EX) == -1 {
      guard Errno.current.code == EINTR else { break }
    }
    defer { flock(file.descriptor.number, LOCK_UN) }
    var before = counts
    before.done = counts.begun &- 1
    guard write(before, to: file) else {
      unlink(path)
      forget(file)
      return try commit()
    }
    let result = try commit()
    // Failing leaves it at "begun", which sends readers to the names.
    _ = write(counts, to: file)
    return result
  }

  /// Makes the file where there is none.
  func prepare() {
    _ = current()
  }

  private func write(_ counts: Counts, to file: File) -> Bool {
    var record = Record(repeating: 0)
    record[0] = counts.begun
    record[1] = counts.done
    record[2] = counts.roots
    record[3] = counts.pathInfos
    record[4] = Self.checksum(record)
    return withUnsafeBytes(of: record) { bytes in
      pwrite(file.descriptor.number, bytes.baseAddress, bytes.count, 0) == bytes.count
    }
  }

  // The file that stands under the name now: one that somebody removed would never change again.
  private func current() -> File? {
    if let known = file.withLock({ $0 }) {
      var status = stat()
      if fstat(known.descriptor.number, &status) == 0 && status.st_nlink > 0 { return known }
      forget(known)
    }
    let flags = isReadOnly ? O_RDONLY : O_RDWR | O_CREAT
    let number = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
    guard number >= 0 else { return nil }
    let opened = File(OwnedDescriptor(adopting: number))
    // As private, or as shared, as the names themselves.
    var status = stat()
    if !isReadOnly && lstat(String(path.dropLast(".changes".count)), &status) == 0 {
      fchmod(number, status.st_mode & 0o666)
    }
    return file.withLock { file in
      if let other = file { return other }
      file = opened
      return opened
    }
  }

  private func forget(_ gone: File) {
    file.withLock { if $0 === gone { $0 = nil } }
  }

  private typealias Record = InlineArray<5, UInt64>

  // Splitmix over the words: finds torn and flipped ones, and that is all it has to.
  private static func checksum(_ record: Record) -> UInt64 {
    var state: UInt64 = 0x6E61_6D65_7331
    for index in 0..<4 {
      state = (state ^ record[index]) &+ 0x9E37_79B9_7F4A_7C15
      state = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
      state = (state ^ (state >> 27)) &* 0x94D0_49BB_1331_11EB
      state ^= state >> 31
    }
    return state
  }
}
