/// Where things are in a pack.
///
///     header 512 | table of contents | records | table of contents again | header again 512
///
/// All integers are little endian. Records begin at a multiple of `page`, and the file's length is one: what
/// direct I/O asks for. Between the parts are zeros.
package enum PackLayout {
  /// Records begin at multiples of this, and up to the next multiple nothing but zeros follows them: the kernel
  /// can map blobs, and a record's place by sectors is a small number of its own.
  package static let sector = 512
  /// What direct I/O asks for at most.
  static let page = 4096
  /// The header's length, and the footer's, which is the same bytes.
  static let headerLength = 512
  /// The most records of a pack.
  package static let maximumRecords = 16_384
  /// The most groups of a pack.
  package static let maximumGroups = 4096
  /// The most bytes a group has when decompressed.
  package static let maximumGroupLength = 16 << 20
  static let entryLength = 48
  static let groupLength = 16

  /// The length of a table of contents: entries, groups, checksum.
  static func tableLength(records: Int, groups: Int) -> Int {
    records * entryLength + groups * groupLength + 8
  }

  /// Where records begin in a pack that is written before its table is known: the front table's room is
  /// kept free, as a hole.
  static let recordsOffset =
    (headerLength + tableLength(records: maximumRecords, groups: maximumGroups)).rounded(up: page)

  /// The seed of all checksums of a pack: a part of another pack is no part of this one.
  static func seed(_ id: PackID) -> UInt64 { id.session ^ (id.number &* 0x9E37_79B9_7F4A_7C15) }
}
