package import Castore
internal import Glibc
internal import Platform

/// The names of a store in one SQLite file: roots, path infos, pins, and what lost its name lately.
///
/// Any number of processes may have the file open; a change is durable when the call that makes it
/// returns, and all of it or nothing is there after a crash. Calls may block on the local disk, and,
/// for at most a minute, on others' changes. Safe from any thread.
///
/// Beside the file `names` SQLite keeps `names-wal` (changes that are not in it yet: part of the data) and
/// `names-shm`, and this type `names.changes`. The folder must be on a local file system.
///
/// Nobody in the process may open and close `names` by other means: closing any descriptor of it drops
/// the locks that SQLite holds.
package final class SQLiteNames: Sendable {
  /// The file.
  package let path: String
  /// Whether changes are refused.
  package let isReadOnly: Bool

  let counter: ChangeCounter
  private let clock: @Sendable () -> Int64
  private let readers: ReaderPool
  private let writer = Guarded<Writer?>(nil)

  /// Opens names that are there.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - isReadOnly: Whether changes are refused. The file may then lie where nobody can write.
  ///   - clock: Seconds since 1970.
  /// - Throws: `.corrupt` where the file is missing, damaged or older than it was; `.unsupported`
  ///   where a newer program wrote it.
  package init(
    opening path: String,
    isReadOnly: Bool = false,
    clock: @escaping @Sendable () -> Int64 = { Int64(time(nil)) }
  ) throws(ServiceError) {
    self.path = path
    self.isReadOnly = isReadOnly
    self.clock = clock
    counter = ChangeCounter(besides: path, isReadOnly: isReadOnly)
    readers = ReaderPool(path, isReadOnly: isReadOnly)
    // What was done must be there: read in this order, the names are never behind.
    let counts = counter.read()
    let version = try read { (connection) throws(ServiceError) in
      try connection.fact("version")
    }
    try Self.requireAll(counts, version, path)
  }

  /// Runs `body` on a connection for reading. It may run several times.
  func read<Result>(
    _ body: (SQLConnection) throws(ServiceError) -> Result
  ) throws(ServiceError) -> Result {
    try readers.read(body)
  }

  /// Makes changes together, durably.
  ///
  /// - Parameter body: Makes the changes, on what it finds; when it throws, none are made.
  package func write<Result>(
    _ body: (inout NamesTransaction) throws(ServiceError) -> Result
  ) throws(ServiceError) -> Result {
    if isReadOnly {
      throw ServiceError(.permissionDenied, "\(path) is open for reading only")
    }
    // The lock is the queue of this process's writers: each keeps it until its change is durable.
    return try writer.withLock { (writer) throws(ServiceError) in
      let stamp = try FileStamp(path)
      if let known = writer, known.stamp.isSameFile(as: stamp) {
        return try change(known.connection, body)
      }
      let new = Writer(try readers.openWriter(), stamp)
      writer = new
      return try change(new.connection, body)
    }
  }

  private struct Writer {
    let connection: SQLConnection
    let stamp: FileStamp

    init(_ connection: SQLConnection, _ stamp: FileStamp) {
      self.connection = connection
      self.stamp = stamp
    }
  }

  private func change<Result>(
    _ connection: SQLConnection,
    _ body: (inout NamesTransaction) throws(ServiceError) -> Result
  ) throws(ServiceError) -> Result {
    try connection.run("BEGIN IMMEDIATE")
    do throws(ServiceError) {
      try Self.requireAll(counter.read(), try connection.fact("version"), path)
      var transaction = NamesTransaction(connection, time: clock())
      let result = try body(&transaction)
      guard transaction.hasChanges else {
        connection.rollBack()
        return result
      }
      let counts = try transaction.finish()
      try counter.count(counts) { () throws(ServiceError) in
        _ = try connection.run("COMMIT")
      }
      return result
    } catch {
      connection.rollBack()
      throw error
    }
  }

  private static func requireAll(
    _ counts: ChangeCounter.Counts?,
    _ version: Int64,
    _ path: String
  ) throws(ServiceError) {
    guard let counts, counts.done > UInt64(bitPattern: version) else { return }
    throw ServiceError(
      .corrupt,
      "changes to the names of the store are lost: \(path) has \(version) of \(counts.done); restore "
        + "\(path) and \(path)-wal from a backup; if it is one already, remove \(path).changes"
    )
  }
}
