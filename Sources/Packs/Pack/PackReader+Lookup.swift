extension PackReader {
  /// Entries that are read at once: as many as fit into 4 KiB.
  private static let window = 4096 / PackLayout.entryLength

  /// Finds a record by its key.
  ///
  /// - Returns: A record of a kind that is wanted; nothing only if a good table of contents has none.
  /// - Throws: `.damaged` if no table is good.
  /// - Complexity: One read or two of 4 KiB for keys that are spread evenly, O(log n) for any. The first
  ///   lookup of all reads and checks a whole table.
  package func find(_ key: PackKey, _ kinds: RecordKinds) throws(PackError) -> RecordPlace? {
    let table = try goodTable()
    // Where the entries lie that may have the key.
    var low = 0
    var high = count
    var guesses = 0
    return try withUnsafeTemporaryAllocation(
      byteCount: Self.window * PackLayout.entryLength,
      alignment: 8
    ) { (buffer) throws(PackError) -> RecordPlace? in
      while low < high {
        let length = min(Self.window, high - low)
        let middle =
          guesses < 3
          ? Int(key.prefix.multipliedFullWidth(by: UInt64(count)).high) : (low + high) / 2
        guesses += 1
        let start = min(max(middle - length / 2, low), high - length)
        let entries = UnsafeMutableRawBufferPointer(
          rebasing: buffer[..<(length * PackLayout.entryLength)]
        )
        try bytes.readExactly(
          at: table + UInt64(start * PackLayout.entryLength),
          into: entries
        )
        let span = UnsafeRawBufferPointer(entries).bytes
        let last = span.key(at: (length - 1) * PackLayout.entryLength)
        if span.key(at: 0) >= key && start > low {
          // The key is before the window, or others of the same key may be.
          high = span.key(at: 0) == key ? min(start + RecordKind.allCases.count, high) : start
          if span.key(at: 0) == key { low = max(low, start - RecordKind.allCases.count) }
        } else if last <= key && start + length < high {
          low = last == key ? max(start + length - RecordKind.allCases.count, low) : start + length
          if last == key { high = min(high, start + length + RecordKind.allCases.count) }
        } else {
          return try find(key, kinds, in: span)
        }
      }
      return nil
    }
  }

  private func find(
    _ key: PackKey,
    _ kinds: RecordKinds,
    in entries: RawSpan
  ) throws(PackError) -> RecordPlace? {
    var low = 0
    var high = entries.byteCount / PackLayout.entryLength
    while low < high {
      let middle = (low + high) / 2
      if entries.key(at: middle * PackLayout.entryLength) < key {
        low = middle + 1
      } else {
        high = middle
      }
    }
    var offset = low * PackLayout.entryLength
    while offset < entries.byteCount, entries.key(at: offset) == key {
      guard let entry = PackTable.entry(entries, at: offset) else {
        throw PackError.damaged("the table of contents of \(bytes.name) changed while it was open")
      }
      if kinds.contains(entry.at.kind) { return entry.at }
      offset += PackLayout.entryLength
    }
    return nil
  }

  /// Goes through all records in the order of their keys.
  ///
  /// - Parameter body: Returns whether to go on.
  package func forEach(
    _ body: (PackEntry) throws(PackError) -> Bool
  ) throws(PackError) {
    let cursor = try PackCursor(self)
    while let entry = try cursor.next() {
      if try !body(entry) { return }
    }
  }
}
