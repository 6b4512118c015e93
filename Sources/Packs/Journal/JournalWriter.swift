internal import Glibc
internal import Platform

/// An open journal: records that are durable as soon as `commit` returns, many by one sync.
///
/// For one thread at a time. Others, in any process, read along with `JournalReader`.
package final class JournalWriter {
  /// How much of the file is made ready at a time, by zeros: writing over what is there already changes nothing
  /// but data, so that a sync need not touch the file system's own journal.
  private static let step = 4 << 20

  package let id: PackID
  private let session: PackSession
  private let file: NewFile
  /// Where the next record goes.
  private var end = UInt64(JournalLayout.sector)
  /// Up to where the file is made ready.
  private var ready = 0
  private var batch = BatchBuffer()
  private var batchRecords: [JournalRecord] = []
  private var recordCount = 0
  private var failure: PackError?

  /// Begins a journal among the packs.
  package init(_ session: PackSession) throws(PackError) {
    self.session = session
    id = session.makeID()
    file = try NewFile(session, name: id.fileName(.journal))
    try makeReady(upTo: Self.step)
    var words = InlineArray<64, UInt64>(repeating: 0)
    let (file, id) = (file, id)
    try withUnsafeMutableBytes(of: &words) { (buffer) throws(PackError) in
      JournalLayout.encodeHeader(id, into: buffer)
      try file.write(UnsafeRawBufferPointer(buffer), at: 0)
    }
    try file.sync()
    try file.publish(in: session.packs.number, as: id.fileName(.journal))
    try session.syncPacks()
  }

  /// How many bytes the journal has.
  package var byteCount: Int { Int(end) + batch.count }

  /// Whether it is time to seal the journal: it has as many records or bytes as a pack takes.
  package var isFull: Bool {
    recordCount + batchRecords.count >= PackLayout.maximumRecords
      || byteCount >= session.options.targetSize
  }

  /// Whether a record may be added: it is not longer than 8 MiB, and the journal is not full.
  package func takes(_ length: Int) -> Bool { length <= JournalLayout.maximumPayload && !isFull }

  /// Adds a record to the batch. Nothing is written yet.
  package func add(_ key: PackKey, _ kind: RecordKind, _ bytes: UnsafeRawBufferPointer) {
    precondition(takes(bytes.count), "callers ask whether the journal takes a record")
    let header = JournalRecordHeader(
      key: key,
      kind: kind,
      length: bytes.count,
      payloadChecksum: Checksum.of(bytes, seed: 0)
    )
    let start = end + UInt64(batch.count)
    let record = batch.grow(by: header.stride)
    header.encode(
      id,
      at: start,
      into: UnsafeMutableRawBufferPointer(rebasing: record[..<JournalLayout.sector])
    )
    UnsafeMutableRawBufferPointer(rebasing: record[JournalLayout.sector...])
      .copyMemory(from: bytes)
    record.clear(JournalLayout.sector + bytes.count..<record.count)
    batchRecords.append(
      JournalRecord(
        key: key,
        kind: kind,
        place: start + UInt64(JournalLayout.sector),
        length: bytes.count
      )
    )
  }

  /// Writes the batch.
  ///
  /// After an error nothing of the batch is acknowledged, and the journal takes nothing more: what the disk
  /// has is not known. Seal it and begin another.
  ///
  /// - Returns: Where the records are, now durable.
  package func commit() throws(PackError) -> [JournalRecord] {
    if let failure { throw failure }
    if batchRecords.isEmpty { return [] }
    do throws(PackError) {
      if Int(end) + batch.count > ready {
        try makeReady(upTo: (Int(end) + batch.count).rounded(up: Self.step))
      }
      try file.write(batch.bytes, at: Int(end))
      let number = file.descriptor
      _ = try systemCall("sync \(id.fileName(.journal))") { fdatasync(number) }
    } catch {
      failure = error
      batch.count = 0
      batchRecords = []
      throw error
    }
    defer {
      end += UInt64(batch.count)
      recordCount += batchRecords.count
      batch.count = 0
      batchRecords = []
    }
    return batchRecords
  }

  private func makeReady(upTo length: Int) throws(PackError) {
    let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    defer { zeros.deallocate() }
    zeros.clear(0..<zeros.count)
    while ready < length {
      let count = min(zeros.count, length - ready)
      try file.write(
        UnsafeRawBufferPointer(rebasing: zeros[..<count]),
        at: ready
      )
      ready += count
    }
    // The length is in the file system's journal before records rely on it.
    try file.sync()
  }
}

/// A record of a journal.
package struct JournalRecord: Sendable, Hashable {
  package let key: PackKey
  package let kind: RecordKind
  /// Where in the journal the payload begins.
  package let place: UInt64
  package let length: Int
}

/// Bytes that are collected to be written at once; the memory is kept for the next time.
private struct BatchBuffer: ~Copyable {
  private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 4096)
  var count = 0

  deinit {
    memory.deallocate()
  }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }

  /// More bytes at the end, of any content.
  mutating func grow(by length: Int) -> UnsafeMutableRawBufferPointer {
    if count + length > memory.count {
      let larger = UnsafeMutableRawBufferPointer.allocate(
        byteCount: max(2 * memory.count, count + length),
        alignment: 4096
      )
      larger.copyMemory(from: bytes)
      memory.deallocate()
      memory = larger
    }
    count += length
    return UnsafeMutableRawBufferPointer(rebasing: memory[count - length..<count])
  }
}
