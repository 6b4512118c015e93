/// The first 512 bytes of a pack, and the last: what it is and where its tables are.
///
///     0 "castpack" | 8 version u32 | 12 zero u32 | 16 session u64 | 24 number u64 |
///     32 records u32 | 36 groups u32 | 40 front table: offset u64, length u64 | 56 back table: the same |
///     72 file length u64 | 80 zeros | 504 XXH3-64 of the first 504 bytes
package struct PackHeader: Sendable, Hashable {
  static let magic: UInt64 = 0x6B63_6170_7473_6163  // "castpack"
  static let version: UInt32 = 2

  package var id: PackID
  package var recordCount: Int
  package var groupCount: Int
  /// Where the table of contents after the records begins. The one before them begins after the header.
  var backTable: UInt64
  package var fileLength: UInt64

  /// Both tables have this length, and are the same.
  var tableLength: Int { PackLayout.tableLength(records: recordCount, groups: groupCount) }
  var frontTable: UInt64 { UInt64(PackLayout.headerLength) }
  /// No record begins before.
  var recordsStart: UInt64 { frontTable + UInt64(tableLength) }
  /// No record ends after.
  var recordsEnd: UInt64 { backTable }

  /// Writes the 512 bytes.
  func encode(into buffer: UnsafeMutableRawBufferPointer) {
    precondition(buffer.count == PackLayout.headerLength, "a header has 512 bytes")
    buffer.clear(0..<buffer.count)
    buffer.put(Self.magic, at: 0)
    buffer.put(Self.version, at: 8)
    buffer.put(id.session, at: 16)
    buffer.put(id.number, at: 24)
    buffer.put(UInt32(recordCount), at: 32)
    buffer.put(UInt32(groupCount), at: 36)
    buffer.put(frontTable, at: 40)
    buffer.put(UInt64(tableLength), at: 48)
    buffer.put(backTable, at: 56)
    buffer.put(UInt64(tableLength), at: 64)
    buffer.put(fileLength, at: 72)
    let checksum = Checksum.of(UnsafeRawBufferPointer(rebasing: buffer[..<504]), seed: 0)
    buffer.put(checksum, at: 504)
  }

  /// Reads the 512 bytes and checks that all they say is possible.
  ///
  /// - Parameter name: For messages.
  init(decoding bytes: RawSpan, name: String) throws(PackError) {
    guard bytes.byteCount == PackLayout.headerLength else {
      throw PackError.damaged("the header of \(name) is cut short")
    }
    guard bytes.integer(at: 0, as: UInt64.self) == Self.magic,
      bytes.integer(at: 504, as: UInt64.self) == Checksum.of(bytes.extracting(0..<504), seed: 0)
    else { throw PackError.damaged("\(name) has no header of a pack") }
    let version = bytes.integer(at: 8, as: UInt32.self)
    guard version == Self.version else {
      throw PackError.unsupported("\(name) is a pack of version \(version)")
    }
    let records = bytes.integer(at: 32, as: UInt32.self)
    let groups = bytes.integer(at: 36, as: UInt32.self)
    guard records <= PackLayout.maximumRecords, groups <= PackLayout.maximumGroups else {
      throw PackError.damaged("the header of \(name) counts \(records) records, \(groups) groups")
    }
    id = PackID(
      session: bytes.integer(at: 16, as: UInt64.self),
      number: bytes.integer(at: 24, as: UInt64.self)
    )
    recordCount = Int(records)
    groupCount = Int(groups)
    backTable = bytes.integer(at: 56, as: UInt64.self)
    fileLength = bytes.integer(at: 72, as: UInt64.self)
    let length = UInt64(tableLength)
    let fixed = UInt64(PackLayout.headerLength)
    guard bytes.integer(at: 12, as: UInt32.self) == 0,
      bytes.integer(at: 40, as: UInt64.self) == frontTable,
      bytes.integer(at: 48, as: UInt64.self) == length,
      bytes.integer(at: 64, as: UInt64.self) == length,
      bytes.isZero(80..<504),
      fileLength < UInt64(1) << 62, fileLength % fixed == 0,
      fileLength >= fixed + recordsStart + length,
      backTable >= recordsStart, backTable % 8 == 0, backTable <= fileLength - fixed - length
    else { throw PackError.damaged("the header of \(name) contradicts itself") }
  }

  init(id: PackID, recordCount: Int, groupCount: Int, backTable: UInt64, fileLength: UInt64) {
    self.id = id
    self.recordCount = recordCount
    self.groupCount = groupCount
    self.backTable = backTable
    self.fileLength = fileLength
  }
}
