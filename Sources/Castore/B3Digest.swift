public import BLAKE3

/// The name of a blob or directory: the BLAKE3 digest of its bytes, 32 bytes held inline.
public struct B3Digest: Sendable, BitwiseCopyable {
  /// The length of a digest in bytes.
  public static let byteCount = 32

  // The digest's bytes in memory order, so that a copy of the value is a copy of the digest.
  package var words: (UInt64, UInt64, UInt64, UInt64)

  /// Takes words that hold a digest's bytes in memory order.
  package init(words: (UInt64, UInt64, UInt64, UInt64)) {
    self.words = words
  }

  /// Takes over what the hash function returned.
  public init(_ digest: BLAKE3.Digest) {
    words = digest.withUnsafeBytes { Self.loadWords($0) }
  }

  /// Takes the digest's bytes.
  ///
  /// - Throws: `.invalidLength` where there are not exactly 32.
  public init(bytes: UnsafeRawBufferPointer) throws(B3DigestError) {
    guard bytes.count == Self.byteCount else { throw .invalidLength(bytes.count) }
    words = Self.loadWords(bytes)
  }

  /// Takes the digest's bytes.
  ///
  /// - Throws: `.invalidLength` where there are not exactly 32.
  public init(bytes: RawSpan) throws(B3DigestError) {
    guard bytes.byteCount == Self.byteCount else { throw .invalidLength(bytes.byteCount) }
    words = bytes.withUnsafeBytes { Self.loadWords($0) }
  }

  /// Takes the digest's bytes.
  ///
  /// - Throws: `.invalidLength` where there are not exactly 32.
  public init(bytes: [UInt8]) throws(B3DigestError) {
    guard bytes.count == Self.byteCount else { throw .invalidLength(bytes.count) }
    words = bytes.withUnsafeBytes { Self.loadWords($0) }
  }

  /// Hashes bytes.
  public init(hashing bytes: UnsafeRawBufferPointer) {
    self.init(BLAKE3.hash(bytes))
  }

  /// Hashes bytes.
  public init(hashing bytes: [UInt8]) {
    self = bytes.withUnsafeBytes { B3Digest(hashing: $0) }
  }

  /// Lends the 32 bytes.
  @inlinable
  public func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try Swift.withUnsafeBytes(of: self) { (bytes) throws(Failure) in try body(bytes) }
  }

  /// The 32 bytes, as a new array.
  public var bytes: [UInt8] { withUnsafeBytes { [UInt8]($0) } }

  // The caller has checked that there are 32 bytes.
  private static func loadWords(
    _ bytes: UnsafeRawBufferPointer
  ) -> (UInt64, UInt64, UInt64, UInt64) {
    (
      bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self),
      bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
      bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self),
      bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
    )
  }
}

extension B3Digest: Hashable {
  /// Compares all bytes.
  public static func == (left: B3Digest, right: B3Digest) -> Bool {
    left.words == right.words
  }

  /// Feeds all bytes: digests in messages from outside are chosen by others, so that a part of them
  /// could be made to collide.
  public func hash(into hasher: inout Swift.Hasher) {
    withUnsafeBytes { hasher.combine(bytes: $0) }
  }
}

extension B3Digest: Comparable {
  /// Orders digests by their bytes, as unsigned numbers, from the first to the last.
  public static func < (left: B3Digest, right: B3Digest) -> Bool {
    (
      left.words.0.bigEndian, left.words.1.bigEndian, left.words.2.bigEndian,
      left.words.3.bigEndian
    ) < (
      right.words.0.bigEndian, right.words.1.bigEndian, right.words.2.bigEndian,
      right.words.3.bigEndian
    )
  }
}

/// Why bytes or text are not a digest.
public enum B3DigestError: Error, Hashable, Sendable {
  /// A digest has 32 bytes; these are that many.
  case invalidLength(Int)
  /// The text starts with no known prefix and is not 64 hexadecimal digits.
  case unknownForm(String)
  /// What follows the prefix is not 44 characters of padded base64.
  case invalidBase64(String)
  /// 64 characters without a prefix, which are not all hexadecimal digits.
  case invalidHex(String)
}

extension B3DigestError: CustomStringConvertible {
  /// One sentence for a person.
  public var description: String {
    switch self {
    case .invalidLength(let count):
      "a BLAKE3 digest has 32 bytes, got \(count)"
    case .unknownForm(let text):
      """
      "\(escaped(text))" is not a digest: expected "b3:" or "blake3-" and base64, or 64 hex digits
      """
    case .invalidBase64(let text):
      """
      "\(escaped(text))" is not a digest: expected 44 characters of padded base64 after the prefix
      """
    case .invalidHex(let text):
      """
      "\(escaped(text))" is not a digest: expected 64 hexadecimal digits
      """
    }
  }
}
