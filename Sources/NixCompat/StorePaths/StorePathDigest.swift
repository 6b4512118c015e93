/// The hash part of a store path, 20 bytes held inline.
public struct StorePathDigest: Hashable, Sendable, BitwiseCopyable {
  /// The length of a digest in bytes.
  public static let byteCount = 20
  /// The length of its text in characters.
  public static let textCount = 32

  // The bytes in memory order, as one little-endian number of 160 bits, without padding between.
  private let low, middle: UInt64
  private let high: UInt32

  /// Takes the bytes of a digest.
  ///
  /// - Returns: `nil` unless there are 20 of them.
  public init?(_ bytes: Span<UInt8>) {
    guard bytes.count == Self.byteCount else { return nil }
    let raw = bytes.bytes
    // Any bit pattern is an integer.
    low = raw.unsafeLoadUnaligned(fromByteOffset: 0, as: UInt64.self)
    middle = raw.unsafeLoadUnaligned(fromByteOffset: 8, as: UInt64.self)
    high = raw.unsafeLoadUnaligned(fromByteOffset: 16, as: UInt32.self)
  }

  /// Takes the bytes of a digest.
  ///
  /// - Returns: `nil` unless there are 20 of them.
  public init?(_ bytes: [UInt8]) {
    self.init(bytes.span)
  }

  /// Parses 32 characters of nixbase32.
  public init(nixBase32 text: Span<UInt8>) throws(TextEncodingError) {
    guard let digest = StorePathDigest(try NixBase32.decode(text)) else {
      throw .invalidLength(text.count)
    }
    self = digest
  }

  /// Parses 32 characters of nixbase32.
  public init(nixBase32 text: String) throws(TextEncodingError) {
    try self.init(nixBase32: text.utf8Span.span)
  }

  /// Folds a longer hash into 20 bytes by exclusive or, as store paths do with SHA-256.
  public init(compressing bytes: [UInt8]) {
    var folded = [UInt8](repeating: 0, count: Self.byteCount)
    for (index, byte) in bytes.enumerated() { folded[index % Self.byteCount] ^= byte }
    guard let digest = StorePathDigest(folded) else { preconditionFailure("20 bytes were folded") }
    self = digest
  }

  /// The bytes, copied.
  public var bytes: [UInt8] { Swift.withUnsafeBytes(of: self) { Array($0) } }

  /// 32 characters of nixbase32.
  public var nixBase32: String { NixBase32.encode(bytes) }
}

extension StorePathDigest: Comparable {
  /// Orders as the nixbase32 text does: the last byte weighs most.
  public static func < (left: StorePathDigest, right: StorePathDigest) -> Bool {
    let leftWords = (
      UInt32(littleEndian: left.high), UInt64(littleEndian: left.middle),
      UInt64(littleEndian: left.low)
    )
    let rightWords = (
      UInt32(littleEndian: right.high), UInt64(littleEndian: right.middle),
      UInt64(littleEndian: right.low)
    )
    return leftWords < rightWords
  }
}

extension StorePathDigest: CustomStringConvertible {
  /// The nixbase32 text.
  public var description: String { nixBase32 }
}
