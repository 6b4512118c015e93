internal import Glibc

/// Writes records into packs, one after the other.
///
/// For one thread at a time. Records are put straight into the tail of a buffer; full buffers are written by a
/// thread of the writer's own while the next is filled. When a pack is full, that thread seals it and the next
/// one is begun. Nothing has a pack's name before all of the pack is on the disk; a writer that goes without
/// `finish` leaves the packs that were sealed, and nothing else.
package final class PackWriter {
  /// The most bytes that `reserve` gives.
  package let maximumReservation: Int

  private let session: PackSession
  private let output: PackOutput
  private let isSinglePack: Bool
  private var draft: PackDraft
  private var buffer: AlignedBuffer?
  /// How much of the buffer is records.
  private var tail = 0
  private var reservation: Range<Int>?

  package init(_ session: PackSession) {
    self.session = session
    output = PackOutput(session)
    isSinglePack = false
    draft = PackDraft(id: session.makeID())
    maximumReservation = session.options.bufferSize - PackLayout.page
  }

  /// A writer of just one pack, whatever its size, with a name that is given.
  init(_ session: PackSession, single id: PackID) {
    self.session = session
    output = PackOutput(session)
    isSinglePack = true
    draft = PackDraft(id: id)
    maximumReservation = session.options.bufferSize - PackLayout.page
  }

  deinit {
    output.abandon()
  }

  /// How many bytes of records the pack has that is being written.
  package var packedBytes: Int { draft.flushed + tail }

  /// How many records the pack has that is being written.
  package var packedRecords: Int { draft.entries.count }

  /// Gives a place for a record, to be filled and then committed; until then it is not part of anything.
  ///
  /// Blocks while the disk is behind. Reserving again, or `rollBack`, gives the place up.
  ///
  /// - Parameters:
  ///   - count: The most bytes that the record may have, up to `maximumReservation`.
  ///   - kind: What it will be.
  /// - Returns: Bytes of any content, valid until the next call.
  package func reserve(
    _ count: Int,
    for kind: RecordKind
  ) throws(PackError) -> UnsafeMutableRawBufferPointer {
    reservation = nil
    guard count >= 0, count <= maximumReservation else {
      throw PackError.unsupported("a record of \(count) bytes in one piece")
    }
    try beginRecord(expecting: count)
    var start = tail.rounded(up: kind.alignment)
    if start + count > session.options.bufferSize {
      try flush()
      start = tail.rounded(up: kind.alignment)
    }
    let bytes = try openBuffer().bytes
    bytes.clear(tail..<start)
    reservation = start..<start + count
    return UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + count])
  }

  /// Makes the reserved bytes, up to a length, a record.
  package func commit(_ key: PackKey, kind: RecordKind, length: Int) {
    guard let reservation else {
      preconditionFailure("a record is reserved before it is committed")
    }
    precondition(length <= reservation.count, "a record is not longer than what was reserved")
    precondition(
      (draft.flushed + reservation.lowerBound) % kind.alignment == 0,
      "a record is reserved for the kind that it has"
    )
    self.reservation = nil
    note(key, kind, at: draft.flushed + reservation.lowerBound, length: length)
    tail = reservation.lowerBound + length
    pad(to: kind.alignment)
  }

  /// Gives the reserved place up.
  package func rollBack() {
    reservation = nil
  }

  /// Writes a record of any length from memory.
  package func put(
    _ key: PackKey,
    kind: RecordKind,
    _ bytes: UnsafeRawBufferPointer
  ) throws(PackError) {
    guard UInt32(exactly: bytes.count) != nil else {
      throw PackError.unsupported("a record of \(bytes.count) bytes")
    }
    let start = try append(bytes, alignment: kind.alignment)
    note(key, kind, at: start, length: bytes.count)
    pad(to: kind.alignment)
  }

  /// A record of a group.
  package struct GroupMember: Sendable {
    package var key: PackKey
    package var kind: RecordKind
    package var offset: UInt32
    package var length: UInt32

    package init(_ key: PackKey, kind: RecordKind, offset: UInt32, length: UInt32) {
      self.key = key
      self.kind = kind
      self.offset = offset
      self.length = length
    }
  }

  /// Writes records that were compressed together.
  ///
  /// - Parameters:
  ///   - frame: The compressed bytes.
  ///   - length: How many bytes they are when decompressed, at most `PackLayout.maximumGroupLength`.
  ///   - members: The records, each within that length.
  package func putGroup(
    _ frame: UnsafeRawBufferPointer,
    length: Int,
    _ members: [GroupMember]
  ) throws(PackError) {
    guard length <= PackLayout.maximumGroupLength, let stored = UInt32(exactly: frame.count),
      members.count <= PackLayout.maximumRecords
    else { throw PackError.unsupported("a group of \(length) bytes") }
    if draft.entries.count + members.count > PackLayout.maximumRecords
      || draft.groups.count == PackLayout.maximumGroups
    {
      try beginPack()
    }
    let start = try append(frame, alignment: 8)
    let group = PackGroup(
      place: UInt64(start),
      storedLength: stored,
      length: UInt32(truncatingIfNeeded: length)
    )
    for member in members {
      let place = RecordPlace(
        group: draft.groups.count,
        offset: member.offset,
        length: member.length,
        kind: member.kind
      )
      precondition(group.holds(place), "a record lies in its group")
      draft.entries.append(PackEntry(member.key, place))
    }
    draft.groups.append(group)
    pad(to: 8)
  }

  /// Seals the pack that is being written, without waiting for it; the next record begins another.
  package func cut() throws(PackError) {
    if !draft.isEmpty { try beginPack() }
  }

  /// Seals what is left and waits until all packs of this writer are on the disk, their names included.
  ///
  /// The writer can be used on afterwards.
  ///
  /// - Returns: The packs that were sealed since the last call.
  package func finish() throws(PackError) -> [SealedPack] {
    reservation = nil
    try cut()
    let sealed = try output.finish()
    if !sealed.isEmpty { try session.syncPacks() }
    return sealed
  }

  /// Throws away what is not sealed yet. The writer is of no more use.
  package func abandon() {
    draft.file = nil
    buffer = nil
    output.abandon()
  }

  // MARK: - The buffer

  private func openBuffer() throws(PackError) -> AlignedBuffer {
    if let buffer { return buffer }
    let fresh = try output.takeBuffer()
    buffer = fresh
    return fresh
  }

  private func note(_ key: PackKey, _ kind: RecordKind, at place: Int, length: Int) {
    draft.entries.append(
      PackEntry(
        key,
        RecordPlace(
          place: UInt64(place),
          length: UInt32(truncatingIfNeeded: length),
          kind: kind
        )
      )
    )
  }

  /// Fills up with zeros to where anything may follow.
  private func pad(to alignment: Int) {
    let end = tail.rounded(up: alignment)
    buffer?.bytes.clear(tail..<end)
    tail = end
  }

  /// Begins another pack if this one is full.
  private func beginRecord(expecting count: Int) throws(PackError) {
    let isFull =
      draft.entries.count >= PackLayout.maximumRecords
      || !draft.isEmpty && packedBytes + count > session.options.targetSize
    if !isFull { return }
    if isSinglePack {
      if draft.entries.count < PackLayout.maximumRecords { return }
      throw PackError.unsupported("more than \(PackLayout.maximumRecords) records in a pack")
    }
    try beginPack()
  }

  private func beginPack() throws(PackError) {
    try output.seal(draft, buffer: buffer, count: tail)
    draft = PackDraft(id: session.makeID())
    buffer = nil
    tail = 0
  }

  /// Copies bytes to the tail, through as many buffers as they take.
  private func append(
    _ bytes: UnsafeRawBufferPointer,
    alignment: Int
  ) throws(PackError) -> Int {
    reservation = nil
    try beginRecord(expecting: bytes.count)
    _ = try openBuffer()
    pad(to: alignment)
    if tail >= session.options.bufferSize { try flush() }
    let start = draft.flushed + tail
    var done = 0
    while done < bytes.count {
      if tail >= session.options.bufferSize { try flush() }
      let buffer = try openBuffer()
      let count = min(session.options.bufferSize - tail, bytes.count - done)
      UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[tail..<tail + count])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[done..<done + count]))
      tail += count
      done += count
    }
    return start
  }

  /// Hands the buffer over to be written; what is left of its last page moves to the next one.
  private func flush() throws(PackError) {
    guard let full = buffer else { return }
    let count = tail.rounded(down: PackLayout.page)
    if draft.file == nil {
      draft.file = try NewFile.forPack(session, draft.id)
      draft.recordsOffset = PackLayout.recordsOffset
    }
    guard let file = draft.file else { return }
    let next = try output.takeBuffer()
    let rest = count..<tail
    UnsafeMutableRawBufferPointer(rebasing: next.bytes[..<rest.count])
      .copyMemory(from: UnsafeRawBufferPointer(rebasing: full.bytes[rest]))
    try output.write(file, full, count: count, at: PackLayout.recordsOffset + draft.flushed)
    draft.flushed += count
    buffer = next
    tail = rest.count
  }
}

extension NewFile {
  /// A pack's file, for direct I/O where that is wanted and to be had.
  fileprivate static func forPack(
    _ session: PackSession,
    _ id: PackID
  ) throws(PackError) -> NewFile {
    let file = try NewFile(session, name: "\(id).pack")
    if session.writesDirectly {
      if file.setDirect(true) {
        let start = PackLayout.recordsOffset
        file.preallocate(start..<start + session.options.targetSize)
      } else {
        session.refuseDirect()
      }
    }
    return file
  }
}
