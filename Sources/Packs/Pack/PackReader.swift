internal import Synchronization

/// A sealed pack, open for reading.
///
/// Safe to use from any number of threads at once. Nothing of the pack is kept in memory but its header. Bytes
/// are handed out as they are found: whoever knows what a digest is of compares it.
package final class PackReader: Sendable {
  package let bytes: any RandomAccessBytes
  package let header: PackHeader

  /// Which of the two tables of contents was found good.
  private enum TableState: UInt8 {
    case unknown, front, back, none
  }

  private let table = Atomic<UInt8>(TableState.unknown.rawValue)

  /// Opens a pack by its header or, where that is damaged, by its footer.
  ///
  /// - Parameter id: What the pack must be, if it is known.
  package init(_ bytes: any RandomAccessBytes, id: PackID? = nil) throws(PackError) {
    self.bytes = bytes
    header = try Self.readHeader(bytes)
    if let id, id != header.id {
      throw PackError.damaged("\(bytes.name) holds the pack \(header.id)")
    }
  }

  /// A pack whose front table was written by the caller a moment ago.
  init(_ bytes: any RandomAccessBytes, justWritten header: PackHeader) {
    self.bytes = bytes
    self.header = header
    table.store(TableState.front.rawValue, ordering: .releasing)
  }

  package var id: PackID { header.id }

  /// How many records there are.
  package var count: Int { header.recordCount }

  /// Reads a record, or a part of it.
  ///
  /// The place may come from anywhere: one that does not lie in the pack is an error.
  ///
  /// - Parameters:
  ///   - place: A record that is kept as it is.
  ///   - offset: Where in the record to begin.
  /// - Returns: How many bytes of `buffer` were filled; fewer than its size only at the end of the record.
  package func read(
    _ place: RecordPlace,
    at offset: Int = 0,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(PackError) -> Int {
    guard place.codec == .none else {
      throw PackError.unsupported("a compressed record of \(bytes.name) is read with its group")
    }
    guard header.holds(place) else {
      throw PackError.damaged("a record at \(place.place) does not lie in \(bytes.name)")
    }
    guard offset >= 0, offset < Int(place.length) else { return 0 }
    let count = min(buffer.count, Int(place.length) - offset)
    try bytes.readExactly(
      at: place.place + UInt64(offset),
      into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
    )
    return count
  }

  /// Where a group's frame is, and how long it is when decompressed.
  package func group(_ number: Int) throws(PackError) -> PackGroup {
    guard number >= 0, number < header.groupCount else {
      throw PackError.damaged("\(bytes.name) has no group \(number)")
    }
    let offset = header.recordCount * PackLayout.entryLength + number * PackLayout.groupLength
    var words: (UInt64, UInt64) = (0, 0)
    let start = try goodTable() + UInt64(offset)
    let group = try withUnsafeMutableBytes(of: &words) { (buffer) throws(PackError) -> PackGroup in
      try bytes.readExactly(at: start, into: buffer)
      return PackTable.group(UnsafeRawBufferPointer(buffer).bytes, at: 0)
    }
    guard header.holds(group) else {
      throw PackError.damaged("group \(number) of \(bytes.name) lies outside of it")
    }
    return group
  }

  /// Reads a group's frame as it is stored; `buffer` has its stored length.
  package func read(
    _ group: PackGroup,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(PackError) {
    guard header.holds(group), buffer.count == Int(group.storedLength) else {
      throw PackError.damaged("a group at \(group.place) does not lie in \(bytes.name)")
    }
    try bytes.readExactly(at: group.place, into: buffer)
  }

  /// Where a table of contents that was checked begins.
  ///
  /// The first call reads one whole table and checks it, the front one if it is good; later calls know.
  func goodTable() throws(PackError) -> UInt64 {
    switch TableState(rawValue: table.load(ordering: .acquiring)) {
    case .front: return header.frontTable
    case .back: return header.backTable
    case .unknown: break
    case .none?, nil:
      throw PackError.damaged("both tables of contents of \(bytes.name) are damaged")
    }
    let scratch = UnsafeMutableRawBufferPointer.allocate(
      byteCount: header.tableLength,
      alignment: 8
    )
    defer { scratch.deallocate() }
    do throws(PackError) {
      try verifyTable(at: header.frontTable, scratch)
      table.store(TableState.front.rawValue, ordering: .releasing)
      return header.frontTable
    } catch {
      do throws(PackError) {
        try verifyTable(at: header.backTable, scratch)
      } catch {
        if case .damaged = error { table.store(TableState.none.rawValue, ordering: .releasing) }
        throw error
      }
      table.store(TableState.back.rawValue, ordering: .releasing)
      return header.backTable
    }
  }

  private func verifyTable(
    at offset: UInt64,
    _ scratch: UnsafeMutableRawBufferPointer
  ) throws(PackError) {
    try bytes.readExactly(at: offset, into: scratch)
    try PackTable.verify(UnsafeRawBufferPointer(scratch).bytes, header, name: bytes.name)
  }

  private static func readHeader(_ bytes: any RandomAccessBytes) throws(PackError) -> PackHeader {
    do throws(PackError) {
      return try decodeHeader(bytes, at: 0)
    } catch {
      if case .unsupported = error { throw error }
      let length = UInt64(PackLayout.headerLength)
      guard bytes.length >= 2 * length else { throw error }
      // The first error is the one to tell: a file that is no pack at all fails at both ends.
      guard let header = try? decodeHeader(bytes, at: bytes.length - length),
        header.fileLength == bytes.length
      else { throw error }
      return header
    }
  }

  fileprivate static func decodeHeader(
    _ bytes: any RandomAccessBytes,
    at offset: UInt64
  ) throws(PackError) -> PackHeader {
    try withUnsafeTemporaryAllocation(byteCount: PackLayout.headerLength, alignment: 8) {
      (buffer) throws(PackError) -> PackHeader in
      try bytes.readExactly(at: offset, into: buffer)
      return try PackHeader(decoding: UnsafeRawBufferPointer(buffer).bytes, name: bytes.name)
    }
  }
}

extension PackReader {
  /// What is wrong with the pack's own parts, a sentence each; empty for a pack as it was written.
  ///
  /// Reads headers and tables, not the records.
  package func findDamage() -> [String] {
    var findings: [String] = []
    func check(_ body: () throws(PackError) -> Void) {
      do throws(PackError) { try body() } catch { findings.append("\(error)") }
    }
    let end = header.fileLength - UInt64(PackLayout.headerLength)
    if bytes.length != header.fileLength {
      findings.append(
        "damaged: \(bytes.name) has \(bytes.length) bytes, it was written with \(header.fileLength)"
      )
    }
    for (offset, what) in [(0, "header"), (end, "footer")] {
      check { () throws(PackError) in
        guard try Self.decodeHeader(bytes, at: offset) == header else {
          throw PackError.damaged("the \(what) of \(bytes.name) is another pack's")
        }
      }
    }
    let scratch = UnsafeMutableRawBufferPointer.allocate(
      byteCount: header.tableLength,
      alignment: 8
    )
    defer { scratch.deallocate() }
    for offset in [header.frontTable, header.backTable] {
      check { () throws(PackError) in try verifyTable(at: offset, scratch) }
    }
    return findings
  }
}
