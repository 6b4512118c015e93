internal import Platform
internal import SystemPackage

/// A pack that is being written: what is in it so far.
struct PackDraft {
  let id: PackID
  /// Places of records count from where records begin, until the pack is sealed.
  var entries: [PackEntry] = []
  var groups: [PackGroup] = []
  /// The file, once the first buffer was full.
  var file: NewFile?
  /// Where the records begin in the file, once there is one.
  var recordsOffset: Int?
  /// How much of the records is in the file: what the buffer holds comes after.
  var flushed = 0

  init(id: PackID) {
    self.id = id
  }

  var isEmpty: Bool { entries.isEmpty }

  /// Writes what is left, the tables, header and footer, syncs, and gives the pack its name.
  ///
  /// - Parameters:
  ///   - buffer: The records that are not in the file yet; has room for a table of contents after them.
  ///   - count: How many bytes they have.
  func seal(_ session: PackSession, buffer: AlignedBuffer?, count: Int) throws(PackError)
    -> SealedPack
  {
    let file = if let file { file } else { try NewFile(session, name: "\(id).pack") }
    let (entries, dropped) = sortedEntries()
    let tableLength = PackLayout.tableLength(records: entries.count, groups: groups.count)
    let recordsOffset =
      self.recordsOffset
      ?? (PackLayout.headerLength + tableLength).rounded(up: PackLayout.page)
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
    PackTable.encode(
      entries.map { $0.moved(by: recordsOffset) },
      groups.map { $0.moved(by: recordsOffset) },
      id: id,
      into: table
    )

    // The end: what is left of the records, the table again, the header again.
    let rest = end - recordsOffset - flushed
    let back = buffer ?? AlignedBuffer(count: rest)
    precondition(back.bytes.count >= rest, "buffers have room for a table after their records")
    let tableStart = backTable - recordsOffset - flushed
    back.bytes.clear(count..<tableStart)
    back.bytes.clear(tableStart + tableLength..<rest)
    UnsafeMutableRawBufferPointer(rebasing: back.bytes[tableStart..<tableStart + tableLength])
      .copyMemory(from: UnsafeRawBufferPointer(table))
    header.encode(
      into: UnsafeMutableRawBufferPointer(
        rebasing: back.bytes[(rest - PackLayout.headerLength)..<rest]
      )
    )
    try file.writeOrGoThroughCache(
      UnsafeRawBufferPointer(rebasing: back.bytes[..<rest]),
      at: UInt64(recordsOffset + flushed)
    )
    try file.writeOrGoThroughCache(UnsafeRawBufferPointer(front.bytes), at: 0)
    // Gives back what was preallocated and not used.
    try file.setLength(end)
    // Nothing has the pack's name before all of it is on the disk.
    try file.sync()
    try file.publish(in: session.packs.number, as: id.fileName(.pack))
    session.countWritten(end)
    return SealedPack(
      id: id,
      recordCount: entries.count,
      fileLength: UInt64(end),
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
package struct SealedPack: Sendable, Hashable {
  package let id: PackID
  package let recordCount: Int
  package let fileLength: UInt64
  /// Records that were written more than once, of which one is found.
  package let droppedDuplicates: Int
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

extension NewFile {
  /// Writes; where the file system turns direct I/O down only now, through the page cache from here on.
  func writeOrGoThroughCache(
    _ bytes: UnsafeRawBufferPointer,
    at offset: UInt64
  ) throws(PackError) {
    do throws(PackError) {
      try write(bytes, at: offset)
    } catch .system(.invalidArgument, let what) {
      guard setDirect(false) else { throw PackError.system(.invalidArgument, what) }
      session.refuseDirect()
      try write(bytes, at: offset)
    }
  }
}
