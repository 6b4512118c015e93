/// A SHA-256 digest, 32 bytes held inline.
public struct SHA256Digest: Hashable, Sendable, BitwiseCopyable {
  /// The length of a digest in bytes.
  public static let byteCount = 32

  // The bytes in memory order: four words without padding between or after them.
  private let word0, word1, word2, word3: UInt64

  /// Takes the bytes of a digest.
  ///
  /// - Returns: `nil` unless there are 32 of them.
  public init?(_ bytes: Span<UInt8>) {
    guard bytes.count == Self.byteCount else { return nil }
    let raw = bytes.bytes
    // Any bit pattern is an integer.
    word0 = raw.unsafeLoadUnaligned(fromByteOffset: 0, as: UInt64.self)
    word1 = raw.unsafeLoadUnaligned(fromByteOffset: 8, as: UInt64.self)
    word2 = raw.unsafeLoadUnaligned(fromByteOffset: 16, as: UInt64.self)
    word3 = raw.unsafeLoadUnaligned(fromByteOffset: 24, as: UInt64.self)
  }

  /// Takes the bytes of a digest.
  ///
  /// - Returns: `nil` unless there are 32 of them.
  public init?(_ bytes: [UInt8]) {
    self.init(bytes.span)
  }

  /// Parses nixbase32, without a prefix.
  public init(nixBase32 text: Span<UInt8>) throws(TextEncodingError) {
    guard let digest = SHA256Digest(try NixBase32.decode(text)) else {
      throw .invalidLength(text.count)
    }
    self = digest
  }

  /// Parses hexadecimal, without a prefix.
  public init(hexadecimal text: Span<UInt8>) throws(TextEncodingError) {
    guard let digest = SHA256Digest(try Hexadecimal.decode(text)) else {
      throw .invalidLength(text.count)
    }
    self = digest
  }

  /// Lends the bytes without a copy.
  public func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try Swift.withUnsafeBytes(of: self, body)
  }

  /// The bytes, copied.
  public var bytes: [UInt8] { withUnsafeBytes { Array($0) } }

  /// 52 characters of nixbase32.
  public var nixBase32: String { NixBase32.encode(bytes) }

  /// 64 hexadecimal digits in lower case.
  public var hexadecimal: String { Hexadecimal.encode(bytes.span) }
}

extension SHA256Digest: CustomStringConvertible {
  /// As Nix prints it: `sha256:` and nixbase32.
  public var description: String { "sha256:" + nixBase32 }
}
