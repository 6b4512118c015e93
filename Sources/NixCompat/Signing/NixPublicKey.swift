internal import Crypto

/// A named ed25519 key that verifies signatures, as in `trusted-public-keys`.
public struct NixPublicKey: Hashable, Sendable {
  /// The length of a key in bytes.
  public static let byteCount = 32

  /// The name.
  public let name: String
  /// The compressed point.
  public let bytes: [UInt8]

  /// Puts a key together.
  public init(name: String, bytes: [UInt8]) throws(SigningError) {
    self.name = try NamedBytes.validName(name)
    guard bytes.count == Self.byteCount else {
      throw .invalidLength(expected: Self.byteCount, found: bytes.count)
    }
    self.bytes = bytes
  }

  /// Parses `<name>:<base64 of 32 bytes>`.
  public init(parsing text: String) throws(SigningError) {
    let named = try NamedBytes(parsing: text.utf8Span.span, byteCount: Self.byteCount)
    name = named.name
    bytes = named.bytes
  }

  /// Whether the signature carries this key's name and is its signature of the message.
  ///
  /// Strict: a key or a commitment of small order is refused, since with such a key one signature
  /// holds for more than one message.
  public func isValid(_ signature: NixSignature, of message: [UInt8]) -> Bool {
    guard signature.keyName == name, !SmallOrderPoint.contains(bytes.span),
      !SmallOrderPoint.contains(signature.bytes.span.extracting(..<32)),
      let key = try? Curve25519.Signing.PublicKey(rawRepresentation: bytes)
    else { return false }
    return key.isValidSignature(signature.bytes, for: message)
  }

  /// Whether the signature carries this key's name and is its signature of the text.
  public func isValid(_ signature: NixSignature, of text: String) -> Bool {
    isValid(signature, of: Array(text.utf8))
  }
}

extension NixPublicKey: CustomStringConvertible {
  /// The form that configurations carry.
  public var description: String { NamedBytes.text(name: name, bytes: bytes) }
}
