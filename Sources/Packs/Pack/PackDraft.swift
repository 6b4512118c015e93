internal import Platform

/// What a pack that is being written has so far.
struct PackDraft: Sendable {
  let id: PackID
  /// Places of records count from where records begin, until the pack is sealed.
  var entries: [PackEntry] = []
  var groups: [PackGroup] = []

  init(id: PackID) {
    self.id = id
  }

  /// What is left to be written of a pack's records.
  struct Rest: Sendable {
    /// The file, if some of the records are in it already: then the first of them is at
    /// `PackLayout.recordsOffset`.
    var file: NewFile?
    /// How much of the records is in the file.
    var flushed: Int
    /// The records after those; the buffer has room for a table of contents besides.
    var buffer: AlignedBuffer
    var count: Int
  }

  /// Writes what is left, the tables, header and footer, syncs, and gives the pack its name.
  func seal(_ session: PackSession, _ rest: Rest) throws(PackError) -> SealedPack {
    let file =
      if let file = rest.file { file } else { try NewFile(session, name: "\(id).pack") }
    let (flushed, count) = (rest.flushed, rest.count)
    let (entries, dropped) = sortedEntries()
    let tableLength = PackLayout.tableLength(records: entries.count, groups: groups.count)
    let recordsOffset =
      rest.file != nil
      ? PackLayout.recordsOffset
      : (PackLayout.headerLength + tableLength).rounded(up: PackLayout.page)
    let backTable = (recordsOffset + flushed + count).rounded(up: 8)
    let end = (backTable + tableLength + PackLayout.headerLength).rounded(up: PackLayout.page)
    let header = PackHeader(
      id: id,
      recordCount: entries.count,
      groupCount: groups.count,
      backTable: UInt64(backTable),
      fileLength: UInt64(end)
    )

    // The front, in one piece: its length is a multiple of the page, and the rest of its room a hole.
    let front = AlignedBuffer(
      count: (PackLayout.headerLength + tableLength).rounded(up: PackLayout.page)
    )
    front.bytes.clear(0..<front.bytes.count)
    header.encode(
      into: UnsafeMutableRawBufferPointer(rebasing: front.bytes[..<PackLayout.headerLength])
    )
    let table = UnsafeMutableRawBufferPointer(
      rebasing: front.bytes[PackLayout.headerLength..<PackLayout.headerLength + tableLength]
    )
    let placed = entries.map { $0.moved(by: recordsOffset) }
    PackTable.encode(
      placed,
      groups.map { $0.moved(by: recordsOffset) },
      id: id,
      into: table
    )

    // The end: what is left of the records, the table again, the header again.
    let length = end - recordsOffset - flushed
    let back = rest.buffer
    precondition(back.bytes.count >= length, "buffers have room for a table after their records")
    let tableStart = backTable - recordsOffset - flushed
    back.bytes.clear(count..<tableStart)
    back.bytes.clear(tableStart + tableLength..<length)
    UnsafeMutableRawBufferPointer(rebasing: back.bytes[tableStart..<tableStart + tableLength])
      .copyMemory(from: UnsafeRawBufferPointer(table))
    header.encode(
      into: UnsafeMutableRawBufferPointer(
        rebasing: back.bytes[(length - PackLayout.headerLength)..<length]
      )
    )
    try file.write(
      UnsafeRawBufferPointer(rebasing: back.bytes[..<length]),
      at: recordsOffset + flushed
    )
    try file.write(UnsafeRawBufferPointer(front.bytes), at: 0)
    // Gives back what was preallocated and not used.
    try file.setLength(end)
    // Nothing has the pack's name before all of it is on the disk.
    try file.sync()
    try file.publish(in: session.packs.number, as: id.fileName(.pack))
    let bytes = try FileBytes(session.openPack(id), name: id.fileName(.pack))
    return SealedPack(
      reader: PackReader(bytes, justWritten: header),
      entries: placed,
      droppedDuplicates: dropped
    )
  }

  /// By key and kind; of two that are equal in both the first written stays.
  private func sortedEntries() -> (entries: [PackEntry], dropped: Int) {
    let sorted = entries.sorted {
      $0.key == $1.key && $0.at.kind == $1.at.kind
        ? $0.at.place < $1.at.place : PackEntry.areAscending($0, $1)
    }
    var unique: [PackEntry] = []
    unique.reserveCapacity(sorted.count)
    for entry in sorted {
      if let last = unique.last, !PackEntry.areAscending(last, entry) { continue }
      unique.append(entry)
    }
    return (unique, sorted.count - unique.count)
  }
}

/// A pack that is on the disk and has its name; durable once the folder is synced.
package struct SealedPack: Sendable {
  /// The pack, open: its tables are known to be good and are not read again.
  package let reader: PackReader
  /// All its records with their places, sorted by key and kind.
  package let entries: [PackEntry]
  /// Records that were written more than once, of which one is found.
  package let droppedDuplicates: Int

  package var id: PackID { reader.id }
}

extension PackEntry {
  fileprivate func moved(by distance: Int) -> PackEntry {
    var moved = self
    if at.codec == .none { moved.at.place += UInt64(distance) }
    return moved
  }
}

extension PackGroup {
  fileprivate func moved(by distance: Int) -> PackGroup {
    var moved = self
    moved.place += UInt64(distance)
    return moved
  }
}
