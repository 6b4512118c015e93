package import Platform

/// Writes one file from front to back as packs are written: past the page cache where that is wanted and to be
/// had, one buffer being filled while the other is written.
///
/// For one thread at a time. A writer that goes before `publish` leaves nothing.
package final class FileWriter {
  private let queue: WriteQueue
  private let session: PackSession
  private let options: NewFile.Options
  private let name: String
  private var tail: FileTail
  private var file: NewFile?

  /// Begins a file in the session's temporary folder.
  ///
  /// - Parameters:
  ///   - isDirect: Whether to write past the page cache.
  ///   - leavesHoles: Whether whole blocks of zeros become holes.
  package init(_ session: PackSession, isDirect: Bool, leavesHoles: Bool) {
    self.session = session
    options = NewFile.Options(isDirect: isDirect, leavesHoles: leavesHoles)
    name = "\(session.makeID()).file"
    queue = WriteQueue(bufferLength: session.options.bufferSize)
    tail = FileTail(session, queue, name: name, startingAt: 0, options)
  }

  deinit {
    queue.abandon()
  }

  /// How many bytes were written.
  package var count: Int { tail.count }

  /// Gives room for the bytes that come next, to be filled; they count once `advance` says how many.
  ///
  /// Blocks while the disk is behind.
  ///
  /// - Parameter length: At most `PackSession.Options.maximumReservation`.
  package func reserve(_ length: Int) throws(PackError) -> UnsafeMutableRawBufferPointer {
    try tail.reserve(length)
  }

  /// Counts bytes that were put where `reserve` said.
  package func advance(_ length: Int) { tail.advance(length) }

  /// Writes bytes from memory.
  package func append(_ bytes: UnsafeRawBufferPointer) throws(PackError) {
    try tail.append(bytes)
  }

  /// Writes what is left and syncs: all bytes are on the disk, under no name yet. Nothing can be written after.
  package func sync() throws(PackError) {
    let length = count
    let rest = tail.filled.rounded(up: PackLayout.page)
    tail.pad(to: PackLayout.page)
    let buffer = try tail.takeBuffer()
    try queue.finish()
    let file = if let file = tail.file { file } else { try NewFile(session, name: name, options) }
    try file.write(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<rest]), at: tail.flushed)
    try file.setLength(length)
    try file.sync()
    session.countWritten(length)
    self.file = file
  }

  /// Gives the file its name; one that is taken is `.system(.fileExists, ...)`, and nothing is changed then.
  ///
  /// Durable when the folder is synced.
  package func publish(
    in folder: borrowing OwnedDescriptor,
    as final: String
  ) throws(PackError) {
    guard let file else { preconditionFailure("a file is synced before it is published") }
    try file.publish(in: folder.number, as: final)
  }
}
