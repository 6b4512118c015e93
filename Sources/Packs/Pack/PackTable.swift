/// Records that were compressed together: where their one frame is.
///
///     0 offset in the pack u64 | 8 stored length u32 | 12 decompressed length u32
package struct PackGroup: Sendable, Hashable, BitwiseCopyable {
  package var place: UInt64
  package var storedLength: UInt32
  package var length: UInt32
}

/// A table of contents: entries by key and kind, groups by number, XXH3-64 of both.
///
///     entry: 0 key 32 | 32 place u64 | 40 length u32 | 44 kind u8 | 45 codec u8 | 46 zero u16
enum PackTable {
  /// Writes a table; entries are sorted and none is there twice.
  static func encode(
    _ entries: [PackEntry],
    _ groups: [PackGroup],
    id: PackID,
    into buffer: UnsafeMutableRawBufferPointer
  ) {
    let length = PackLayout.tableLength(records: entries.count, groups: groups.count)
    precondition(buffer.count == length, "the table's length was computed from the same counts")
    var offset = 0
    for entry in entries {
      buffer.put(entry.key, at: offset)
      encode(entry.at, into: buffer, at: offset + 32)
      offset += PackLayout.entryLength
    }
    for group in groups {
      buffer.put(group.place, at: offset)
      buffer.put(group.storedLength, at: offset + 8)
      buffer.put(group.length, at: offset + 12)
      offset += PackLayout.groupLength
    }
    let checksum = Checksum.of(
      UnsafeRawBufferPointer(rebasing: buffer[..<offset]),
      seed: PackLayout.seed(id)
    )
    buffer.put(checksum, at: offset)
  }

  /// Writes the 16 bytes after the key.
  static func encode(
    _ place: RecordPlace,
    into buffer: UnsafeMutableRawBufferPointer,
    at offset: Int
  ) {
    buffer.put(place.place, at: offset)
    buffer.put(place.length, at: offset + 8)
    buffer.put(place.kind.rawValue, at: offset + 12)
    buffer.put(place.codec.rawValue, at: offset + 13)
    buffer.put(UInt16(0), at: offset + 14)
  }

  /// Reads the 16 bytes after the key; nothing if they say what this version does not know.
  @inline(__always)
  static func place(_ bytes: RawSpan, at offset: Int) -> RecordPlace? {
    guard let kind = RecordKind(rawValue: bytes.integer(at: offset + 12, as: UInt8.self)),
      let codec = RecordCodec(rawValue: bytes.integer(at: offset + 13, as: UInt8.self)),
      bytes.integer(at: offset + 14, as: UInt16.self) == 0
    else { return nil }
    return RecordPlace(
      place: bytes.integer(at: offset, as: UInt64.self),
      length: bytes.integer(at: offset + 8, as: UInt32.self),
      kind: kind,
      codec: codec
    )
  }

  /// Reads the entry that begins at an offset; nothing if it says what this version does not know.
  @inline(__always)
  static func entry(_ bytes: RawSpan, at offset: Int) -> PackEntry? {
    guard let place = place(bytes, at: offset + 32) else { return nil }
    return PackEntry(bytes.key(at: offset), place)
  }

  /// Reads a group of the group table.
  static func group(_ bytes: RawSpan, at offset: Int) -> PackGroup {
    PackGroup(
      place: bytes.integer(at: offset, as: UInt64.self),
      storedLength: bytes.integer(at: offset + 8, as: UInt32.self),
      length: bytes.integer(at: offset + 12, as: UInt32.self)
    )
  }

  /// Checks a whole table: the checksum, the order, and that all lies in the pack.
  static func verify(_ table: RawSpan, _ header: PackHeader, name: String) throws(PackError) {
    let end = table.byteCount - 8
    guard table.byteCount == header.tableLength,
      table.integer(at: end, as: UInt64.self)
        == Checksum.of(table.extracting(0..<end), seed: PackLayout.seed(header.id))
    else { throw PackError.damaged("a table of contents of \(name) has a wrong checksum") }
    let groupsStart = header.recordCount * PackLayout.entryLength
    for number in 0..<header.groupCount {
      let group = group(table, at: groupsStart + number * PackLayout.groupLength)
      guard header.holds(group) else {
        throw PackError.damaged("group \(number) of \(name) lies outside of it")
      }
    }
    var last: PackEntry?
    for number in 0..<header.recordCount {
      guard let entry = entry(table, at: number * PackLayout.entryLength) else {
        throw PackError.unsupported("record \(number) of \(name) is of an unknown kind")
      }
      if let last, !PackEntry.areAscending(last, entry) {
        throw PackError.damaged("the table of contents of \(name) is not sorted")
      }
      last = entry
      switch entry.at.codec {
      case .none:
        guard header.holds(entry.at) else {
          throw PackError.damaged("record \(number) of \(name) lies outside of it")
        }
      case .zstdGroup:
        guard entry.at.group < header.groupCount,
          group(table, at: groupsStart + entry.at.group * PackLayout.groupLength).holds(entry.at)
        else { throw PackError.damaged("record \(number) of \(name) lies outside of its group") }
      }
    }
  }
}

extension PackHeader {
  /// Whether an uncompressed record lies where records are.
  @inline(__always)
  func holds(_ place: RecordPlace) -> Bool {
    place.place >= recordsStart && place.place <= recordsEnd
      && UInt64(place.length) <= recordsEnd - place.place
      && place.place % UInt64(PackLayout.sector) == 0
  }

  /// Whether a group lies where records are.
  func holds(_ group: PackGroup) -> Bool {
    group.place >= recordsStart && group.place <= recordsEnd
      && UInt64(group.storedLength) <= recordsEnd - group.place
      && group.length <= PackLayout.maximumGroupLength
  }
}

extension PackGroup {
  /// Whether a record lies in the group's decompressed bytes.
  package func holds(_ place: RecordPlace) -> Bool {
    place.offsetInGroup + Int(place.length) <= Int(length)
  }
}
