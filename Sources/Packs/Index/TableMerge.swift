package import Platform

/// Makes one table of packs and of tables that are there already.
///
/// Of a record that several have, that of the one that was added first stays. In memory are a dozen KiB for
/// each pack and some more for each table, whatever the number of records.
package struct TableMerge {
  private enum Source {
    case pack(PackCursor, number: Int)
    /// The table's pack numbers become those of the new one; those of packs that are gone become nothing.
    case table(TableCursor, numbers: [Int?])
  }

  private var sources: [Source] = []
  private var packs: [PackID] = []
  private var numbers: [PackID: Int] = [:]

  package init() {}

  /// Adds a pack's records. Reads and checks its table of contents.
  package mutating func add(_ pack: PackReader) throws(PackError) {
    sources.append(.pack(try PackCursor(pack), number: number(pack.id)))
  }

  /// Adds an index's entries.
  ///
  /// - Parameter isKept: Whether the entries of a pack stay.
  package mutating func add(_ table: TableReader, keeping isKept: (PackID) -> Bool) {
    let numbers = table.packs.map { isKept($0) ? number($0) : nil }
    sources.append(.table(TableCursor(table), numbers: numbers))
  }

  /// Writes the table. See `TableWriter` for its parameters.
  ///
  /// - Returns: How many entries it has.
  /// - Complexity: O(n log k) for n entries of k sources.
  @discardableResult
  package consuming func write(
    _ session: PackSession,
    id: UInt64,
    in folder: borrowing OwnedDescriptor,
    as name: String,
    isDurable: Bool
  ) throws(PackError) -> Int {
    let writer = try TableWriter(session, id: id, packs: packs)
    var heads = Heads(count: sources.count)
    for number in sources.indices {
      if let entry = try next(number) { heads.insert(entry, of: number) }
    }
    var last: PackEntry?
    while let (entry, number) = heads.first {
      let next = PackEntry(entry.key, entry.at)
      if last.map({ PackEntry.areAscending($0, next) }) ?? true {
        try writer.append(entry)
        last = next
      } else if let last, PackEntry.areAscending(next, last) {
        throw PackError.damaged("what is merged into \(name) is not sorted")
      }
      if let following = try self.next(number) {
        heads.replaceFirst(with: following)
      } else {
        heads.removeFirst()
      }
    }
    return try writer.finish(in: folder, as: name, isDurable: isDurable)
  }

  private mutating func number(_ pack: PackID) -> Int {
    if let number = numbers[pack] { return number }
    numbers[pack] = packs.count
    packs.append(pack)
    return packs.count - 1
  }

  private func next(_ source: Int) throws(PackError) -> TableEntry? {
    switch sources[source] {
    case .pack(let cursor, let number):
      guard let entry = try cursor.next() else { return nil }
      return TableEntry(entry.key, pack: number, entry.at)
    case .table(let cursor, let numbers):
      while var entry = try cursor.next() {
        guard let number = numbers[entry.pack] else { continue }
        entry.pack = number
        return entry
      }
      return nil
    }
  }
}

/// The next entry of each source, the least first: a binary heap.
private struct Heads {
  /// Sources by their entry. The key's first bytes decide nearly always.
  private var heap: [(prefix: UInt64, source: Int)] = []
  private var entries: [TableEntry]

  init(count: Int) {
    let none = TableEntry(
      PackKey(words: (0, 0, 0, 0)),
      pack: 0,
      RecordPlace(place: 0, length: 0, kind: .blob)
    )
    entries = [TableEntry](repeating: none, count: count)
    heap.reserveCapacity(count)
  }

  var first: (TableEntry, Int)? {
    heap.first.map { (entries[$0.source], $0.source) }
  }

  mutating func insert(_ entry: TableEntry, of source: Int) {
    entries[source] = entry
    heap.append((entry.key.prefix, source))
    var child = heap.count - 1
    while child > 0, isLess(child, (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func replaceFirst(with entry: TableEntry) {
    let source = heap[0].source
    entries[source] = entry
    heap[0].prefix = entry.key.prefix
    sink()
  }

  mutating func removeFirst() {
    let last = heap.removeLast()
    if heap.isEmpty { return }
    heap[0] = last
    sink()
  }

  private mutating func sink() {
    var parent = 0
    while true {
      var least = 2 * parent + 1
      if least >= heap.count { return }
      if least + 1 < heap.count, isLess(least + 1, least) { least += 1 }
      if !isLess(least, parent) { return }
      heap.swapAt(least, parent)
      parent = least
    }
  }

  /// Whether one place of the heap comes before another; of equal records the source that was added first.
  private func isLess(_ left: Int, _ right: Int) -> Bool {
    let (one, other) = (heap[left], heap[right])
    if one.prefix != other.prefix { return one.prefix < other.prefix }
    let (first, second) = (entries[one.source], entries[other.source])
    if first.key != second.key { return first.key < second.key }
    if first.at.kind != second.at.kind { return first.at.kind < second.at.kind }
    return one.source < other.source
  }
}
