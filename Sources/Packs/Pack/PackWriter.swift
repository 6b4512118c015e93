internal import Platform

/// Writes records into packs, one after the other.
///
/// For one thread at a time. Records are put straight into the tail of a buffer; full buffers are written by a
/// thread of the writer's own while the next is filled. When a pack is full, that thread seals it and the next
/// one is begun. Nothing has a pack's name before all of the pack is on the disk; a writer that goes without
/// `finish` leaves the packs that were sealed, and nothing else.
package final class PackWriter {
  private let session: PackSession
  private let queue: WriteQueue
  /// Packs that are on the disk and were not handed out yet.
  private let sealed = Guarded<[SealedPack]>([])
  private let isSinglePack: Bool
  private var draft: PackDraft
  private var tail: FileTail
  private var reserved: Int?

  package convenience init(_ session: PackSession) {
    self.init(session, session.makeID(), isSinglePack: false)
  }

  /// A writer of just one pack, whatever its size, with a name that is given.
  convenience init(_ session: PackSession, single id: PackID) {
    self.init(session, id, isSinglePack: true)
  }

  private init(_ session: PackSession, _ id: PackID, isSinglePack: Bool) {
    self.session = session
    self.isSinglePack = isSinglePack
    // Room for the table of contents that comes after the last records.
    let tableLength = PackLayout.recordsOffset + 2 * PackLayout.page
    queue = WriteQueue(bufferLength: session.options.bufferSize + tableLength)
    draft = PackDraft(id: id)
    tail = Self.makeTail(session, queue, id)
  }

  deinit {
    queue.abandon()
  }

  private static func makeTail(
    _ session: PackSession,
    _ queue: WriteQueue,
    _ id: PackID
  ) -> FileTail {
    let start = PackLayout.recordsOffset
    return FileTail(
      session,
      queue,
      name: "\(id).pack",
      startingAt: start,
      NewFile.Options(
        isDirect: session.prefersDirect,
        preallocated: start..<start + session.options.targetSize
      )
    )
  }

  /// The id of the pack that is being written.
  package var id: PackID { draft.id }

  /// How many bytes of records the pack has that is being written.
  package var packedBytes: Int { tail.count }

  /// How many records the pack has that is being written.
  package var packedRecords: Int { draft.entries.count }

  /// Whether the pack that is being written takes so many more records, the first of so many bytes; otherwise the
  /// next one begins another.
  package func hasRoom(for count: Int, records: Int) -> Bool {
    draft.entries.count + records <= PackLayout.maximumRecords
      && (draft.entries.isEmpty || packedBytes + count <= session.options.targetSize)
  }

  /// Gives a place for a record, to be filled and then committed; until then it is not part of anything.
  ///
  /// Blocks while the disk is behind. Reserving again, or putting anything, gives the place up.
  ///
  /// - Parameter count: The most bytes that the record may have, up to
  ///   `PackSession.Options.maximumReservation`.
  /// - Returns: Bytes of any content, valid until the next call.
  package func reserve(_ count: Int) throws(PackError) -> UnsafeMutableRawBufferPointer {
    reserved = nil
    guard count >= 0, count <= session.options.maximumReservation else {
      throw PackError.unsupported("a record of \(count) bytes in one piece")
    }
    try beginRecord(expecting: count)
    let place = try tail.reserve(count, alignment: PackLayout.sector)
    reserved = count
    return place
  }

  /// Makes the reserved bytes, up to a length, a record.
  package func commit(_ key: PackKey, kind: RecordKind, length: Int) {
    guard let reserved, length <= reserved else {
      preconditionFailure("what is committed was reserved before")
    }
    self.reserved = nil
    note(key, kind, at: tail.count, length: length)
    tail.advance(length)
    tail.pad(to: PackLayout.sector)
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
    try beginRecord(expecting: bytes.count)
    let start = try append(bytes)
    note(key, kind, at: start, length: bytes.count)
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
    try beginRecord(expecting: frame.count, records: members.count, groups: 1)
    let group = PackGroup(
      place: UInt64(try append(frame)),
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
  }

  /// Seals the pack that is being written, without waiting for it; the next record begins another.
  package func cut() throws(PackError) {
    reserved = nil
    if draft.entries.isEmpty { return }
    let rest = PackDraft.Rest(
      file: tail.file,
      flushed: tail.flushed,
      buffer: try tail.takeBuffer(),
      count: tail.filled
    )
    let (draft, session, sealed) = (draft, session, sealed)
    try queue.perform(freeing: rest.buffer) { () throws(PackError) in
      let pack = try draft.seal(session, rest)
      sealed.withLock { $0.append(pack) }
    }
    session.countWritten(rest.flushed + rest.count)
    self.draft = PackDraft(id: session.makeID())
    tail = Self.makeTail(session, queue, self.draft.id)
  }

  /// The packs that were sealed since the last call, without waiting for those that will be: their names may not
  /// be durable yet.
  ///
  /// A sealed pack holds 48 bytes for each record until it is taken and let go of: who writes many takes them
  /// as they come.
  package func takeSealed() -> [SealedPack] {
    sealed.withLock { list in
      defer { list = [] }
      return list
    }
  }

  /// Seals what is left and waits until all packs of this writer are on the disk, their names included.
  ///
  /// The writer can be used on afterwards.
  ///
  /// - Returns: The packs that were sealed and not handed out before.
  package func finish() throws(PackError) -> [SealedPack] {
    try cut()
    try queue.finish()
    try session.syncPacks()
    return takeSealed()
  }

  /// Throws away what is not sealed yet. The writer is of no more use.
  package func abandon() {
    reserved = nil
    draft = PackDraft(id: draft.id)
    tail = Self.makeTail(session, queue, draft.id)
    queue.abandon()
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

  /// Copies bytes to the tail, from a multiple of the sector on and up to the next.
  private func append(_ bytes: UnsafeRawBufferPointer) throws(PackError) -> Int {
    // Where the buffer is full already, this hands it over.
    _ = try tail.reserve(0, alignment: PackLayout.sector)
    let start = tail.count
    try tail.append(bytes)
    tail.pad(to: PackLayout.sector)
    return start
  }

  /// Begins another pack if this one is full.
  private func beginRecord(
    expecting count: Int,
    records: Int = 1,
    groups: Int = 0
  ) throws(PackError) {
    reserved = nil
    if draft.entries.count + records > PackLayout.maximumRecords
      || draft.groups.count + groups > PackLayout.maximumGroups
    {
      if isSinglePack {
        throw PackError.unsupported("more than \(PackLayout.maximumRecords) records in a pack")
      }
      return try cut()
    }
    if packedBytes + count > session.options.targetSize && !isSinglePack { try cut() }
  }
}
