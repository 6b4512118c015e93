internal import Glibc

/// A journal that somebody writes, or wrote, open for reading.
///
/// Safe to use from any number of threads at once, beside the writer.
package final class JournalReader: Sendable {
  package let id: PackID
  private let file: FileBytes

  /// Opens a journal.
  ///
  /// - Parameter id: What it must be, if that is known.
  package init(_ file: FileBytes, id: PackID? = nil) throws(PackError) {
    self.file = file
    self.id = try withUnsafeTemporaryAllocation(byteCount: JournalLayout.sector, alignment: 8) {
      (buffer) throws(PackError) -> PackID in
      try file.readExactly(at: 0, into: buffer)
      return try JournalLayout.decodeHeader(UnsafeRawBufferPointer(buffer).bytes, name: file.name)
    }
    if let id, id != self.id {
      throw PackError.damaged("\(file.name) holds the journal \(self.id)")
    }
  }

  /// Where a scan that knows nothing yet begins.
  package static let start = UInt64(JournalLayout.sector)

  /// What a scan has found.
  package struct Scan: Sendable, Hashable {
    /// Where the next scan begins: every record before is known.
    package var end: UInt64
    /// Whether something at `end` is not as it was written, though records come after it.
    package var isDamaged: Bool
  }

  /// Goes through the records from a place on.
  ///
  /// Records whose payload does not match its checksum are left out: the writer may be about to write them. A
  /// scan that is not thorough ends at the first place that was never written. One that is goes on to the
  /// file's end, for journals whose writer is gone.
  ///
  /// A record may be found before it is durable: see `sync`.
  ///
  /// - Parameters:
  ///   - start: `JournalReader.start`, or the end of an earlier scan.
  ///   - body: Gets the record and its payload, which is valid only during the call.
  package func scan(
    from start: UInt64,
    isThorough: Bool = false,
    _ body: (JournalRecord, UnsafeRawBufferPointer) throws(PackError) -> Void
  ) throws(PackError) -> Scan {
    var window = Window(file)
    var scan = Scan(end: start, isDamaged: false)
    // The first place that is not a record, if there was one.
    var gap: UInt64?
    var offset = start
    while let header = try window.bytes(at: offset, count: JournalLayout.sector) {
      if let found = JournalRecordHeader(decoding: header.bytes, id, at: offset),
        let payload = try window.bytes(
          at: offset + UInt64(JournalLayout.sector),
          count: found.length
        ),
        Checksum.of(payload, seed: 0) == found.payloadChecksum
      {
        let place = offset + UInt64(JournalLayout.sector)
        try body(
          JournalRecord(key: found.key, kind: found.kind, place: place, length: found.length),
          payload
        )
        offset += UInt64(found.stride)
        if gap == nil { scan.end = offset } else { scan.isDamaged = true }
        continue
      }
      // The payload's read may have moved the window.
      guard let again = try window.bytes(at: offset, count: JournalLayout.sector) else { break }
      if !isThorough && again.bytes.isZero(0..<JournalLayout.sector) { break }
      if gap == nil { gap = offset }
      offset += UInt64(JournalLayout.sector)
    }
    return scan
  }

  /// Reads a record's payload, or a part of it.
  ///
  /// - Returns: How many bytes were filled; fewer than the buffer's size only at the end of the record.
  package func read(
    _ record: JournalRecord,
    at offset: Int = 0,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(PackError) -> Int {
    guard offset >= 0, offset < record.length else { return 0 }
    let count = min(buffer.count, record.length - offset)
    try file.readExactly(
      at: record.place + UInt64(offset),
      into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
    )
    return count
  }

  /// Makes durable what a scan has found. Corresponds to `fdatasync(2)`.
  ///
  /// The writer's own acknowledgement may be still to come: whoever relies on a record it found here, and did
  /// not write, calls this before it names anything.
  package func sync() throws(PackError) {
    let name = file.name
    _ = try systemCall("sync \(name)") { file.withDescriptor { fdatasync($0) } }
  }

  /// Makes a pack of the journal, with the journal's own id; the caller unlinks the journal afterwards.
  ///
  /// That there is a pack of the id already means that the journal was sealed and only not unlinked yet: check
  /// before, and treat `EEXIST` so.
  ///
  /// - Returns: The pack, and whether something of the journal could not be read.
  package func seal(
    into session: PackSession
  ) throws(PackError) -> (pack: SealedPack?, isDamaged: Bool) {
    let writer = PackWriter(session, single: id)
    let scan = try scan(from: Self.start, isThorough: true) {
      (record, payload) throws(PackError) in
      try writer.put(record.key, kind: record.kind, payload)
    }
    return (try writer.finish().first, scan.isDamaged)
  }
}

/// A part of a file in memory that moves along with a scan.
private struct Window: ~Copyable {
  private static let capacity = 1 << 20

  private let file: FileBytes
  private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 4096)
  private var start: UInt64 = 0
  private var count = 0

  init(_ file: FileBytes) {
    self.file = file
  }

  deinit {
    memory.deallocate()
  }

  /// Bytes of the file, or nothing where it ends before; valid until the next call.
  mutating func bytes(at offset: UInt64, count length: Int) throws(PackError)
    -> UnsafeRawBufferPointer?
  {
    if offset < start || offset + UInt64(length) > start + UInt64(count) {
      if length > memory.count {
        memory.deallocate()
        memory = .allocate(byteCount: length, alignment: 4096)
      }
      start = offset
      count = 0
      count = try file.read(at: offset, into: memory)
      if count < length { return nil }
    }
    let first = Int(offset - start)
    return UnsafeRawBufferPointer(rebasing: memory[first..<first + length])
  }
}
