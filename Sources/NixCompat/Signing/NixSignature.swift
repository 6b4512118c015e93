/// A signature of a store path's fingerprint, with the name of the key that made it.
public struct NixSignature: Hashable, Sendable {
  /// The length of a signature in bytes.
  public static let byteCount = 64

  /// The name of the key.
  public let keyName: String
  /// The ed25519 signature.
  public let bytes: [UInt8]

  /// Puts a signature together.
  public init(keyName: String, bytes: [UInt8]) throws(SigningError) {
    self.keyName = try NamedBytes.validName(keyName)
    guard bytes.count == Self.byteCount else {
      throw .invalidLength(expected: Self.byteCount, found: bytes.count)
    }
    self.bytes = bytes
  }

  /// Parses `<key name>:<base64 of 64 bytes>`.
  public init(parsing text: String) throws(SigningError) {
    try self.init(parsing: text.utf8Span.span)
  }

  init(parsing text: Span<UInt8>) throws(SigningError) {
    let named = try NamedBytes(parsing: text, byteCount: Self.byteCount)
    keyName = named.name
    bytes = named.bytes
  }
}

extension NixSignature: CustomStringConvertible {
  /// The form that narinfos carry.
  public var description: String { NamedBytes.text(name: keyName, bytes: bytes) }
}
