package import Platform

/// Writes a table of sorted keys from its first entry to its last.
///
/// For one thread at a time. In memory are 256 KiB and eight bytes for each block. A writer that goes without
/// `finish` leaves nothing.
package final class TableWriter {
  private static let blocksAtOnce = 64

  private let file: NewFile
  private let entries: TableLayout.Entries
  private let id: UInt64
  private let packs: [PackID]
  private let buffer = AlignedBuffer(count: blocksAtOnce * TableLayout.blockLength)
  private var count = 0
  /// Entries of the block that is being filled.
  private var filled = 0
  private var fences: [UInt64] = []
  private var last: PackEntry?

  /// Begins a set of keys.
  ///
  /// - Parameters:
  ///   - session: Where the file is made.
  ///   - id: A random number.
  package convenience init(keysIn session: PackSession, id: UInt64) throws(PackError) {
    try self.init(session, .keys, id: id, packs: [])
  }

  /// Begins an index over packs.
  package convenience init(
    _ session: PackSession,
    id: UInt64,
    packs: [PackID]
  ) throws(PackError) {
    try self.init(session, .places, id: id, packs: packs)
  }

  private init(
    _ session: PackSession,
    _ entries: TableLayout.Entries,
    id: UInt64,
    packs: [PackID]
  ) throws(PackError) {
    file = try NewFile(session, name: "\(Hexadecimal.digits(of: id)).table")
    self.entries = entries
    self.id = id
    self.packs = packs
  }

  /// Adds a key to a set of keys.
  package func append(_ key: PackKey, _ kind: RecordKind) throws(PackError) {
    try append(TableEntry(key, pack: 0, RecordPlace(place: 0, length: 0, kind: kind)))
  }

  /// Adds an entry, greater than the one before by key or, for the same key, by kind.
  package func append(_ entry: TableEntry) throws(PackError) {
    let next = PackEntry(entry.key, entry.at)
    precondition(
      last.map { PackEntry.areAscending($0, next) } ?? true,
      "a table is written in order"
    )
    precondition(entries == .keys || entry.pack < packs.count, "the entry's pack is in the list")
    last = next
    if filled == entries.perBlock { try endBlock() }
    let slot = fences.count % Self.blocksAtOnce
    if filled == 0 {
      // The block's number is known once it is begun: fences are as many as blocks that were ended.
      buffer.bytes.clear(
        slot * TableLayout.blockLength..<(slot + 1) * TableLayout.blockLength
      )
      pendingFence = entry.key.words.0
    }
    let offset =
      slot * TableLayout.blockLength + TableLayout.blockHeaderLength + filled * entries.length
    buffer.bytes.put(entry.key, at: offset)
    switch entries {
    case .keys:
      buffer.bytes.put(entry.at.kind.rawValue, at: offset + 32)
    case .places:
      buffer.bytes.put(UInt32(entry.pack), at: offset + 32)
      PackTable.encode(entry.at, into: buffer.bytes, at: offset + 36)
    }
    filled += 1
    count += 1
  }

  private var pendingFence: UInt64 = 0

  /// Writes what is left and gives the table its name.
  ///
  /// - Parameters:
  ///   - folder: Where it goes; on the file system of the temporary folder.
  ///   - name: Its name there.
  ///   - isDurable: Whether the table and its name are on the disk when this returns. What can be made again
  ///     need not be: a torn table is found out by its checksums.
  /// - Returns: How many entries it has.
  @discardableResult
  package func finish(
    in folder: borrowing OwnedDescriptor,
    as name: String,
    isDurable: Bool
  ) throws(PackError) -> Int {
    if filled > 0 { try endBlock() }
    try flush(fences.count % Self.blocksAtOnce)
    var footer = TableFooter(
      entries: entries,
      id: id,
      count: count,
      packCount: packs.count,
      tailChecksum: 0
    )
    let tail = UnsafeMutableRawBufferPointer.allocate(
      byteCount: footer.tailLength + TableLayout.footerLength,
      alignment: 8
    )
    defer { tail.deallocate() }
    var offset = 0
    for fence in fences {
      // In memory order, as the key has it.
      tail.storeBytes(of: fence, toByteOffset: offset, as: UInt64.self)
      offset += TableLayout.fenceLength
    }
    for pack in packs {
      tail.put(pack.session, at: offset)
      tail.put(pack.number, at: offset + 8)
      offset += PackID.byteCount
    }
    footer.tailChecksum = Checksum.of(UnsafeRawBufferPointer(rebasing: tail[..<offset]), seed: id)
    footer.encode(into: UnsafeMutableRawBufferPointer(rebasing: tail[offset...]))
    try file.write(UnsafeRawBufferPointer(tail), at: footer.fencesOffset)
    if isDurable { try file.sync() }
    try file.publish(in: folder.number, as: name)
    if isDurable {
      try FileCalls.syncFolder(folder.number, name: "the folder of \(name)")
    }
    return count
  }

  private func endBlock() throws(PackError) {
    let number = fences.count
    let slot = number % Self.blocksAtOnce
    let block = UnsafeMutableRawBufferPointer(
      rebasing: buffer.bytes[
        slot * TableLayout.blockLength..<(slot + 1) * TableLayout.blockLength
      ]
    )
    block.put(UInt16(filled), at: 8)
    block.put(UInt32(truncatingIfNeeded: number), at: 12)
    let checksum = Checksum.of(
      UnsafeRawBufferPointer(rebasing: block[8...]),
      seed: TableLayout.seed(table: id, block: number)
    )
    block.put(checksum, at: 0)
    fences.append(pendingFence)
    filled = 0
    if slot == Self.blocksAtOnce - 1 { try flush(Self.blocksAtOnce) }
  }

  /// Writes the blocks that were ended since the last time.
  private func flush(_ blocks: Int) throws(PackError) {
    if blocks == 0 { return }
    let first = fences.count - blocks
    try file.write(
      UnsafeRawBufferPointer(rebasing: buffer.bytes[..<(blocks * TableLayout.blockLength)]),
      at: first * TableLayout.blockLength
    )
  }
}
