/// A record as a table knows it.
package struct TableEntry: Sendable, Hashable, BitwiseCopyable {
  package var key: PackKey
  /// Which of the table's packs has the record; 0 in a set of keys.
  package var pack: Int
  /// Where in the pack. In a set of keys only the kind counts.
  package var at: RecordPlace

  package init(_ key: PackKey, pack: Int, _ at: RecordPlace) {
    self.key = key
    self.pack = pack
    self.at = at
  }
}

/// A sealed table of sorted keys, open for reading: an index over packs, or a set of keys.
///
/// Safe to use from any number of threads at once. In memory are the fences, eight bytes for each block, and
/// the packs' ids. What a table says is believed only from a block whose checksum is right; a wrong one is
/// `.damaged`, and then the table is of no use to anybody.
package final class TableReader: Sendable {
  package let bytes: any RandomAccessBytes
  /// The packs that the entries are in.
  package let packs: [PackID]

  let footer: TableFooter
  private let fences: Fences

  /// Opens an index over packs: reads and checks all but its blocks.
  package convenience init(_ bytes: any RandomAccessBytes) throws(PackError) {
    try self.init(bytes, .places)
  }

  /// Opens a set of keys.
  package convenience init(keys bytes: any RandomAccessBytes) throws(PackError) {
    try self.init(bytes, .keys)
  }

  private init(
    _ bytes: any RandomAccessBytes,
    _ entries: TableLayout.Entries
  ) throws(PackError) {
    let length = bytes.length
    let footerLength = UInt64(TableLayout.footerLength)
    guard length >= footerLength else { throw PackError.damaged("\(bytes.name) is no table") }
    let footer = try withUnsafeTemporaryAllocation(
      byteCount: TableLayout.footerLength,
      alignment: 8
    ) { (buffer) throws(PackError) -> TableFooter in
      try bytes.readExactly(at: length - footerLength, into: buffer)
      return try TableFooter(
        decoding: UnsafeRawBufferPointer(buffer).bytes,
        fileLength: length,
        name: bytes.name
      )
    }
    guard footer.entries == entries else {
      throw PackError.damaged("\(bytes.name) is a table of other things")
    }
    // What is read into memory; a table with so much has 10,000,000,000 entries.
    guard footer.tailLength <= 1 << 30 else {
      throw PackError.unsupported("\(bytes.name) is a table with \(footer.count) entries")
    }
    let tail = UnsafeMutableRawBufferPointer.allocate(byteCount: footer.tailLength, alignment: 8)
    defer { tail.deallocate() }
    try bytes.readExactly(at: UInt64(footer.fencesOffset), into: tail)
    guard Checksum.of(UnsafeRawBufferPointer(tail), seed: footer.id) == footer.tailChecksum else {
      throw PackError.damaged("the fences of \(bytes.name) have a wrong checksum")
    }
    let span = UnsafeRawBufferPointer(tail).bytes
    fences = try Fences(span, count: footer.blockCount, name: bytes.name)
    let packsOffset = footer.blockCount * TableLayout.fenceLength
    packs = (0..<footer.packCount).map { number in
      let offset = packsOffset + number * PackID.byteCount
      return PackID(
        session: span.integer(at: offset, as: UInt64.self),
        number: span.integer(at: offset + 8, as: UInt64.self)
      )
    }
    self.footer = footer
    self.bytes = bytes
  }

  /// A random number that no other table has.
  package var id: UInt64 { footer.id }

  /// How many entries there are; their ordinals are all numbers below.
  package var count: Int { footer.count }

  /// How many bytes of memory the open table takes.
  package var memory: Int { footer.tailLength }

  /// Finds a key.
  ///
  /// - Returns: An entry of a kind that is wanted, and its ordinal; nothing only if good blocks say so.
  /// - Throws: `.damaged` if a block is not good.
  /// - Complexity: One read of 4096 bytes; nothing is allocated. One more for keys whose first eight bytes
  ///   are those of a block's first key.
  package func find(
    _ key: PackKey,
    _ kinds: RecordKinds
  ) throws(PackError) -> (ordinal: Int, entry: TableEntry)? {
    guard var block = fences.last(notAbove: key.prefix) else { return nil }
    // On the stack: a lookup allocates nothing.
    var words = InlineArray<512, UInt64>(repeating: 0)
    while true {
      let found = try withUnsafeMutableBytes(of: &words) { (buffer) throws(PackError) -> Found in
        let count = try read(block: block, into: buffer)
        return try search(UnsafeRawBufferPointer(buffer).bytes, count, key, kinds)
      }
      switch found {
      case .entry(let index, let entry):
        return (block * footer.entries.perBlock + index, entry)
      case .absent:
        return nil
      case .maybeBefore:
        guard block > 0, fences[block] == key.prefix else { return nil }
        block -= 1
      }
    }
  }

  /// Whether a key is there, with its kind.
  package func contains(_ key: PackKey, _ kind: RecordKind) throws(PackError) -> Bool {
    try find(key, RecordKinds(kind)) != nil
  }

  private enum Found {
    case entry(Int, TableEntry)
    case absent
    /// The key would be before the first of the block, or others of the same key may be.
    case maybeBefore
  }

  private func search(
    _ block: RawSpan,
    _ count: Int,
    _ key: PackKey,
    _ kinds: RecordKinds
  ) throws(PackError) -> Found {
    let length = footer.entries.length
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if block.key(at: TableLayout.blockHeaderLength + middle * length) < key {
        low = middle + 1
      } else {
        high = middle
      }
    }
    for index in low..<count {
      let offset = TableLayout.blockHeaderLength + index * length
      if block.key(at: offset) != key { break }
      let entry = try entry(block, at: offset)
      if kinds.contains(entry.at.kind) { return .entry(index, entry) }
    }
    return low == 0 ? .maybeBefore : .absent
  }

  /// Reads an entry of a block that was checked.
  func entry(_ block: RawSpan, at offset: Int) throws(PackError) -> TableEntry {
    let key = block.key(at: offset)
    switch footer.entries {
    case .keys:
      if let kind = RecordKind(rawValue: block.integer(at: offset + 32, as: UInt8.self)) {
        return TableEntry(key, pack: 0, RecordPlace(place: 0, length: 0, kind: kind))
      }
    case .places:
      let pack = Int(block.integer(at: offset + 32, as: UInt32.self))
      if pack < packs.count, let place = PackTable.place(block, at: offset + 36) {
        return TableEntry(key, pack: pack, place)
      }
    }
    throw PackError.damaged("an entry of \(bytes.name) is of an unknown kind or pack")
  }

  /// Reads a block and checks it.
  ///
  /// - Returns: How many entries it has.
  func read(
    block: Int,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(PackError) -> Int {
    try bytes.readExactly(at: UInt64(block * TableLayout.blockLength), into: buffer)
    return try check(block: block, UnsafeRawBufferPointer(buffer))
  }

  /// Checks a block.
  func check(block: Int, _ buffer: UnsafeRawBufferPointer) throws(PackError) -> Int {
    let perBlock = footer.entries.perBlock
    let count = min(perBlock, footer.count - block * perBlock)
    let checksum = Checksum.of(
      UnsafeRawBufferPointer(rebasing: buffer[8..<TableLayout.blockLength]),
      seed: TableLayout.seed(table: footer.id, block: block)
    )
    let span = buffer.bytes
    guard span.integer(at: 0, as: UInt64.self) == checksum,
      Int(span.integer(at: 8, as: UInt16.self)) == count
    else { throw PackError.damaged("block \(block) of \(bytes.name) has a wrong checksum") }
    return count
  }
}

/// The first eight bytes of each block's first key, in memory.
private final class Fences: @unchecked Sendable {
  // Sendable: written by `init` only.
  private let prefixes: UnsafeMutablePointer<UInt64>
  private let count: Int

  init(_ bytes: RawSpan, count: Int, name: String) throws(PackError) {
    self.count = count
    prefixes = .allocate(capacity: max(count, 1))
    for block in 0..<count {
      let prefix = UInt64(
        bigEndian: bytes.unsafeLoadUnaligned(
          fromByteOffset: block * TableLayout.fenceLength,
          as: UInt64.self
        )
      )
      if block > 0 && prefix < prefixes[block - 1] {
        throw PackError.damaged("the fences of \(name) are not sorted")
      }
      prefixes[block] = prefix
    }
  }

  deinit {
    prefixes.deallocate()
  }

  subscript(block: Int) -> UInt64 {
    precondition(block >= 0 && block < count, "a block of the table")
    return prefixes[block]
  }

  /// The last block whose fence is not above a key's first bytes.
  ///
  /// Guesses, for keys are spread evenly, then widens the step until the block is between two fences.
  func last(notAbove prefix: UInt64) -> Int? {
    // Below all fences `low` stays at the end, above all `high`.
    var low = -1
    var high = count
    guard count > 0 else { return nil }
    var guess = Int(prefix.multipliedFullWidth(by: UInt64(count)).high)
    var step = 8
    if prefixes[guess] <= prefix {
      low = guess
      while low + step < high {
        if prefixes[low + step] > prefix {
          high = low + step
          break
        }
        low += step
        step *= 2
      }
    } else {
      high = guess
      while high - step > low {
        if prefixes[high - step] <= prefix {
          low = high - step
          break
        }
        high -= step
        step *= 2
      }
    }
    while high - low > 1 {
      guess = (low + high) / 2
      if prefixes[guess] <= prefix { low = guess } else { high = guess }
    }
    return low >= 0 ? low : nil
  }
}
