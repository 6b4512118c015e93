/// Where things are in a journal: records one after the other, each after a header of 512 bytes.
///
///     journal: 0 "castjrnl" | 8 version u32 | 12 zero u32 | 16 session u64 | 24 number u64 | 32 zeros |
///              504 XXH3-64 of the first 504 bytes
///     record:  0 "castrecd" | 8 its own offset u64 | 16 session u64 | 24 number u64 | 32 key 32 |
///              64 length u32 | 68 kind u8 | 69 zeros | 496 XXH3-64 of the payload | 504 XXH3-64 of the first
///              504 bytes; the payload, and zeros up to the next multiple of 512
///
/// After the last record are zeros up to where the file was made ready, and nothing after that. A record says
/// where it is, so that no part of an older file, nor of a payload, is ever taken for one.
enum JournalLayout {
  static let sector = 512
  static let magic: UInt64 = 0x6C6E_726A_7473_6163  // "castjrnl"
  static let recordMagic: UInt64 = 0x6463_6572_7473_6163  // "castrecd"
  static let version: UInt32 = 1
  /// The longest payload; longer ones go into packs.
  static let maximumPayload = 8 << 20

  static func encodeHeader(_ id: PackID, into buffer: UnsafeMutableRawBufferPointer) {
    precondition(buffer.count == sector, "a header has 512 bytes")
    buffer.clear(0..<sector)
    buffer.put(magic, at: 0)
    buffer.put(version, at: 8)
    buffer.put(id.session, at: 16)
    buffer.put(id.number, at: 24)
    buffer.put(Checksum.of(UnsafeRawBufferPointer(rebasing: buffer[..<504]), seed: 0), at: 504)
  }

  static func decodeHeader(_ bytes: RawSpan, name: String) throws(PackError) -> PackID {
    guard bytes.byteCount == sector, bytes.integer(at: 0, as: UInt64.self) == magic,
      bytes.integer(at: 504, as: UInt64.self) == Checksum.of(bytes.extracting(0..<504), seed: 0)
    else { throw PackError.damaged("\(name) has no header of a journal") }
    let version = bytes.integer(at: 8, as: UInt32.self)
    guard version == Self.version else {
      throw PackError.unsupported("\(name) is a journal of version \(version)")
    }
    return PackID(
      session: bytes.integer(at: 16, as: UInt64.self),
      number: bytes.integer(at: 24, as: UInt64.self)
    )
  }
}

/// A record's header in a journal.
struct JournalRecordHeader: Sendable, Hashable {
  var key: PackKey
  var kind: RecordKind
  var length: Int
  var payloadChecksum: UInt64

  /// How far it is from this record's header to the next.
  var stride: Int { JournalLayout.sector + length.rounded(up: JournalLayout.sector) }

  func encode(
    _ id: PackID,
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) {
    precondition(buffer.count == JournalLayout.sector, "a header has 512 bytes")
    buffer.clear(0..<buffer.count)
    buffer.put(JournalLayout.recordMagic, at: 0)
    buffer.put(offset, at: 8)
    buffer.put(id.session, at: 16)
    buffer.put(id.number, at: 24)
    buffer.put(key, at: 32)
    buffer.put(UInt32(length), at: 64)
    buffer.put(kind.rawValue, at: 68)
    buffer.put(payloadChecksum, at: 496)
    buffer.put(Checksum.of(UnsafeRawBufferPointer(rebasing: buffer[..<504]), seed: 0), at: 504)
  }

  /// Reads a header; nothing if it is not that of a record of this journal at this very place.
  init?(decoding bytes: RawSpan, _ id: PackID, at offset: UInt64) {
    guard bytes.byteCount == JournalLayout.sector,
      bytes.integer(at: 0, as: UInt64.self) == JournalLayout.recordMagic,
      bytes.integer(at: 8, as: UInt64.self) == offset,
      bytes.integer(at: 16, as: UInt64.self) == id.session,
      bytes.integer(at: 24, as: UInt64.self) == id.number,
      bytes.integer(at: 504, as: UInt64.self) == Checksum.of(bytes.extracting(0..<504), seed: 0),
      let kind = RecordKind(rawValue: bytes.integer(at: 68, as: UInt8.self))
    else { return nil }
    let length = Int(bytes.integer(at: 64, as: UInt32.self))
    guard length <= JournalLayout.maximumPayload else { return nil }
    key = bytes.key(at: 32)
    self.kind = kind
    self.length = length
    payloadChecksum = bytes.integer(at: 496, as: UInt64.self)
  }

  init(key: PackKey, kind: RecordKind, length: Int, payloadChecksum: UInt64) {
    self.key = key
    self.kind = kind
    self.length = length
    self.payloadChecksum = payloadChecksum
  }
}
