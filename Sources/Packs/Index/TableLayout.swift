/// Where things are in a table of sorted keys.
///
///     blocks of 4096, all full but the last | fences | pack ids | footer 512
///
///     block:  0 XXH3-64 of the rest u64 | 8 entries u16 | 10 zero u16 | 12 block number u32 | 16 entries | zeros
///     entry:  0 key 32 | 32 pack u32 | 36 place u64 | 44 length u32 | 48 kind u8 | 49 codec u8 | 50 zero u16
///     entry of a set of keys: 0 key 32 | 32 kind u8 | 33 zeros
///     fence:  the first 8 bytes of a block's first key, as they are
///     footer: 0 "castidx" and a zero | 8 version u32 | 12 entry's length u32 | 16 table id u64 |
///             24 entries u64 | 32 blocks u64 | 40 packs u64 | 48 XXH3-64 of fences and pack ids |
///             56 zeros | 504 XXH3-64 of the first 504 bytes
///
/// All integers are little endian. The seed of a block's checksum is made of the table's random id and the
/// block's number: a good block of another place, or of another table, is a bad block.
enum TableLayout {
  static let blockLength = 4096
  static let blockHeaderLength = 16
  static let fenceLength = 8
  static let footerLength = 512

  /// What a table's entries are.
  enum Entries: UInt32, Sendable {
    /// Keys with kinds.
    case keys = 36
    /// Keys with kinds and places.
    case places = 52

    var length: Int { Int(rawValue) }
    /// How many fit into a block.
    var perBlock: Int { (blockLength - blockHeaderLength) / length }
    /// Where in an entry its kind is.
    var kindOffset: Int { self == .keys ? 32 : 48 }
  }

  static func seed(table: UInt64, block: Int) -> UInt64 {
    table ^ (UInt64(truncatingIfNeeded: block + 1) &* 0x9E37_79B9_7F4A_7C15)
  }
}

/// The last 512 bytes of a table.
struct TableFooter: Sendable, Hashable {
  static let magic: UInt64 = 0x0078_6469_7473_6163  // "castidx" and a zero
  static let version: UInt32 = 1

  var entries: TableLayout.Entries
  var id: UInt64
  var count: Int
  var packCount: Int
  var tailChecksum: UInt64

  var blockCount: Int { (count + entries.perBlock - 1) / entries.perBlock }
  var fencesOffset: Int { blockCount * TableLayout.blockLength }
  /// Fences and pack ids.
  var tailLength: Int {
    blockCount * TableLayout.fenceLength + packCount * PackID.byteCount
  }
  var fileLength: Int { fencesOffset + tailLength + TableLayout.footerLength }

  func encode(into buffer: UnsafeMutableRawBufferPointer) {
    precondition(buffer.count == TableLayout.footerLength, "a footer has 512 bytes")
    buffer.clear(0..<buffer.count)
    buffer.put(Self.magic, at: 0)
    buffer.put(Self.version, at: 8)
    buffer.put(entries.rawValue, at: 12)
    buffer.put(id, at: 16)
    buffer.put(UInt64(count), at: 24)
    buffer.put(UInt64(blockCount), at: 32)
    buffer.put(UInt64(packCount), at: 40)
    buffer.put(tailChecksum, at: 48)
    buffer.put(Checksum.of(UnsafeRawBufferPointer(rebasing: buffer[..<504]), seed: 0), at: 504)
  }

  /// Reads a footer and checks that it is that of a file of just this length.
  init(decoding bytes: RawSpan, fileLength: UInt64, name: String) throws(PackError) {
    guard bytes.byteCount == TableLayout.footerLength,
      bytes.integer(at: 0, as: UInt64.self) == Self.magic,
      bytes.integer(at: 504, as: UInt64.self) == Checksum.of(bytes.extracting(0..<504), seed: 0)
    else { throw PackError.damaged("\(name) has no footer of a table") }
    let version = bytes.integer(at: 8, as: UInt32.self)
    guard version == Self.version,
      let entries = TableLayout.Entries(rawValue: bytes.integer(at: 12, as: UInt32.self))
    else { throw PackError.unsupported("\(name) is a table of version \(version)") }
    let count = bytes.integer(at: 24, as: UInt64.self)
    let packs = bytes.integer(at: 40, as: UInt64.self)
    // No more of either than the file has bytes: what is computed from them stays small.
    guard fileLength < UInt64(1) << 48, count <= fileLength, packs <= fileLength,
      packs <= UInt64(UInt32.max)
    else { throw PackError.damaged("the footer of \(name) contradicts itself") }
    self.init(
      entries: entries,
      id: bytes.integer(at: 16, as: UInt64.self),
      count: Int(count),
      packCount: Int(packs),
      tailChecksum: bytes.integer(at: 48, as: UInt64.self)
    )
    guard bytes.integer(at: 32, as: UInt64.self) == UInt64(blockCount),
      UInt64(self.fileLength) == fileLength, bytes.isZero(56..<504)
    else { throw PackError.damaged("the footer of \(name) contradicts itself") }
  }

  init(entries: TableLayout.Entries, id: UInt64, count: Int, packCount: Int, tailChecksum: UInt64) {
    self.entries = entries
    self.id = id
    self.count = count
    self.packCount = packCount
    self.tailChecksum = tailChecksum
  }
}
