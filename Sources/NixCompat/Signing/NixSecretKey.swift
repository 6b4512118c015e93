internal import Crypto

/// A named ed25519 key that signs, in the form of `nix-store --generate-binary-cache-key`.
///
/// Its description is that of the public key: the secret leaves by `secretText` alone.
public struct NixSecretKey: Sendable {
  /// The length of a key in bytes: the seed, then the public key.
  public static let byteCount = 64

  /// The key that verifies what this one signs.
  public let publicKey: NixPublicKey
  private let key: Curve25519.Signing.PrivateKey

  /// Generates a key from the system's randomness.
  public init(generatingWithName name: String) throws(SigningError) {
    try self.init(name: name, key: Curve25519.Signing.PrivateKey())
  }

  /// Parses `<name>:<base64 of 64 bytes>`, with white space around it allowed as files have it.
  public init(parsing text: String) throws(SigningError) {
    let text = text.drop { $0.isWhitespace }
    let end = text.lastIndex { !$0.isWhitespace }.map { text.index(after: $0) } ?? text.startIndex
    let trimmed = String(text[..<end])
    let named = try NamedBytes(parsing: trimmed.utf8Span.span, byteCount: Self.byteCount)
    guard
      let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: named.bytes.prefix(32))
    else { throw .invalidKey }
    try self.init(name: named.name, key: key)
    guard publicKey.bytes[...] == named.bytes[32...] else { throw .invalidKey }
  }

  private init(name: String, key: Curve25519.Signing.PrivateKey) throws(SigningError) {
    self.key = key
    publicKey = try NixPublicKey(name: name, bytes: Array(key.publicKey.rawRepresentation))
  }

  /// Signs a message.
  public func sign(_ message: [UInt8]) throws(SigningError) -> NixSignature {
    guard let signature = try? key.signature(for: message) else { throw .signingFailed }
    return try NixSignature(keyName: publicKey.name, bytes: Array(signature))
  }

  /// Signs a text.
  public func sign(_ text: String) throws(SigningError) -> NixSignature {
    try sign(Array(text.utf8))
  }

  /// The whole key, as key files hold it.
  public var secretText: String {
    let bytes = Array(key.rawRepresentation) + publicKey.bytes
    return NamedBytes.text(name: publicKey.name, bytes: bytes)
  }
}

extension NixSecretKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// The public key, with a note that there is more.
  public var description: String { "secret key of \(publicKey)" }

  /// The same as `description`.
  public var debugDescription: String { description }

  /// Nothing: dumps must not show the secret.
  public var customMirror: Mirror { Mirror(self, children: EmptyCollection()) }
}
