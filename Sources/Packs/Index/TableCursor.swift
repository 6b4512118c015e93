/// Reads a table's entries from some ordinal on, in order. For one thread at a time.
package final class TableCursor {
  private static let blocksAtOnce = 8

  package let table: TableReader
  private let buffer: UnsafeMutableRawBufferPointer
  /// The ordinal of the entry that comes next.
  package private(set) var ordinal: Int
  private var blocks = 0..<0

  /// Begins at an ordinal; at or past the end nothing comes.
  package init(_ table: TableReader, from ordinal: Int = 0) {
    precondition(ordinal >= 0, "ordinals count from 0")
    self.table = table
    self.ordinal = ordinal
    buffer = .allocate(
      byteCount: Self.blocksAtOnce * TableLayout.blockLength,
      alignment: TableLayout.blockLength
    )
  }

  deinit {
    buffer.deallocate()
  }

  /// The next entry; nothing at the end.
  package func next() throws(PackError) -> TableEntry? {
    guard ordinal < table.count else { return nil }
    let entries = table.footer.entries
    let block = ordinal / entries.perBlock
    if !blocks.contains(block) { try load(block) }
    let offset =
      (block - blocks.lowerBound) * TableLayout.blockLength + TableLayout.blockHeaderLength
      + ordinal % entries.perBlock * entries.length
    let entry = try table.entry(UnsafeRawBufferPointer(buffer).bytes, at: offset)
    ordinal += 1
    return entry
  }

  private func load(_ first: Int) throws(PackError) {
    let count = min(Self.blocksAtOnce, table.footer.blockCount - first)
    blocks = 0..<0
    let bytes = UnsafeMutableRawBufferPointer(
      rebasing: buffer[..<(count * TableLayout.blockLength)]
    )
    try table.bytes.readExactly(at: UInt64(first * TableLayout.blockLength), into: bytes)
    for number in 0..<count {
      let start = number * TableLayout.blockLength
      _ = try table.check(
        block: first + number,
        UnsafeRawBufferPointer(rebasing: bytes[start..<start + TableLayout.blockLength])
      )
    }
    blocks = first..<first + count
  }
}

extension TableReader {
  /// Checks every block, and that the keys ascend.
  package func verify() throws(PackError) {
    let cursor = TableCursor(self)
    var last: PackEntry?
    while let entry = try cursor.next() {
      let next = PackEntry(entry.key, entry.at)
      if let last, !PackEntry.areAscending(last, next) {
        throw PackError.damaged("\(bytes.name) is not sorted")
      }
      last = next
    }
  }
}
