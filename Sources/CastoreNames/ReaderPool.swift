internal import Castore
internal import Glibc
internal import Platform

/// Connections for reading, kept for the next reader.
///
/// Reading needs the files that SQLite keeps beside the names, which only who may write can make. On
/// read-only media, for other users and on a full disk there are none. Then the file is read without
/// locks, and what was read counts only if nothing was written meanwhile.
final class ReaderPool: Sendable {
  private struct Reader {
    let connection: SQLConnection
    let stamp: FileStamp
    let isLocked: Bool

    func isValid(at now: FileStamp) -> Bool {
      isLocked ? stamp.isSameFile(as: now) : stamp == now
    }
  }

  private static let kept = 4
  private static let patience: CInt = 60_000
  private static let attempts = 100

  private let path: String
  private let isReadOnly: Bool
  private let idle = Guarded<[Reader]>([])

  init(_ path: String, isReadOnly: Bool) {
    self.path = path
    self.isReadOnly = isReadOnly
  }

  func read<Result>(
    _ body: (SQLConnection) throws(ServiceError) -> Result
  ) throws(ServiceError) -> Result {
    for _ in 0..<Self.attempts {
      let reader = try take()
      do throws(ServiceError) {
        let result = try body(reader.connection)
        if try wasUndisturbed(reader) {
          giveBack(reader)
          return result
        }
      } catch {
        // Without a lock, an error may come of a write that went on.
        if try wasUndisturbed(reader) { throw error }
      }
    }
    throw ServiceError(
      .unavailable,
      "\(path) cannot be read: it changes all the time, and cannot be locked from here"
    )
  }

  func openWriter() throws(ServiceError) -> SQLConnection {
    // SQLite falls back to reading, or tells what failed last; said here, the reason is the right one.
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    for place in [path, folder] where access(place, W_OK) != 0 {
      let error = Errno.current
      guard [EACCES, EPERM, EROFS].contains(error.code) else { continue }
      throw ServiceError(.permissionDenied, "\(path) cannot be written", cause: error)
    }
    let connection = try SQLConnection(path, .readWrite, patience: Self.patience)
    try checkSchema(connection)
    return connection
  }

  private func wasUndisturbed(_ reader: Reader) throws(ServiceError) -> Bool {
    if reader.isLocked { return true }
    return reader.isValid(at: try FileStamp(path))
  }

  private func take() throws(ServiceError) -> Reader {
    let now = try FileStamp(path)
    while let reader = idle.withLock({ $0.popLast() }) {
      if reader.isValid(at: now) { return reader }
    }
    do throws(ServiceError) {
      let access = isReadOnly ? SQLConnection.Access.read : .readWrite
      let connection = try SQLConnection(path, access, patience: Self.patience)
      try checkSchema(connection)
      return Reader(connection: connection, stamp: now, isLocked: true)
    } catch {
      guard let failure = error.cause as? SQLFailure, failure.isLackOfSharedMemory else {
        throw error
      }
    }
    return try takeUnlocked()
  }

  private func takeUnlocked() throws(ServiceError) -> Reader {
    var stamp = try FileStamp(path)
    while stamp.isFresh {
      usleep(UInt32(FileStamp.step / 1000))
      stamp = try FileStamp(path)
    }
    let connection = try SQLConnection(
      path,
      .unlocked(hasLog: stamp.log != nil),
      patience: Self.patience
    )
    try checkSchema(connection)
    return Reader(connection: connection, stamp: stamp, isLocked: false)
  }

  private func giveBack(_ reader: Reader) {
    idle.withLock { idle in
      if idle.count < Self.kept { idle.append(reader) }
    }
  }

  private func checkSchema(_ connection: SQLConnection) throws(ServiceError) {
    let version = try connection.fact("schema")
    if version == NamesSchema.version { return }
    throw ServiceError(
      .unsupported,
      "\(path) has names in version \(version), and this program knows \(NamesSchema.version)"
    )
  }
}
