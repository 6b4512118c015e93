/// Where in its pack a record is, and what it is.
package struct RecordPlace: Sendable, Hashable, BitwiseCopyable {
  /// Kept as it is: the offset in the pack. In a group: the group's number in the upper half, the offset in
  /// its decompressed bytes in the lower.
  package var place: UInt64
  /// The record's own length in bytes, decompressed.
  package var length: UInt32
  package var kind: RecordKind
  package var codec: RecordCodec

  package init(
    place: UInt64,
    length: UInt32,
    kind: RecordKind,
    codec: RecordCodec = .none
  ) {
    self.place = place
    self.length = length
    self.kind = kind
    self.codec = codec
  }

  /// A place inside a group.
  package init(group: Int, offset: UInt32, length: UInt32, kind: RecordKind) {
    self.init(
      place: UInt64(UInt32(truncatingIfNeeded: group)) << 32 | UInt64(offset),
      length: length,
      kind: kind,
      codec: .zstdGroup
    )
  }

  /// The number of the record's group; only for one that is in a group.
  package var group: Int { Int(place >> 32) }

  /// Where in the decompressed bytes of its group the record begins.
  package var offsetInGroup: Int { Int(place & 0xFFFF_FFFF) }
}

/// One line of a table of contents: a key and what it names.
package struct PackEntry: Sendable, Hashable, BitwiseCopyable {
  package var key: PackKey
  package var at: RecordPlace

  package init(_ key: PackKey, _ at: RecordPlace) {
    self.key = key
    self.at = at
  }

  /// By key, then by kind: no two entries of a table are equal in both.
  @inline(__always)
  static func areAscending(_ left: PackEntry, _ right: PackEntry) -> Bool {
    left.key == right.key ? left.at.kind < right.at.kind : left.key < right.key
  }
}
