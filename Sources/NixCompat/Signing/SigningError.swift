/// Why a text is not a signature or a key.
public enum SigningError: Error, Hashable, Sendable {
  /// No colon parts the name from the rest.
  case missingColon
  /// The name is empty or holds white space, a colon or what is no text.
  case invalidName(String)
  /// What follows the name is not base64.
  case invalidBase64(TextEncodingError)
  /// What follows the name has another length, in bytes, than its kind has.
  case invalidLength(expected: Int, found: Int)
  /// The public half of a secret key does not belong to the secret half, or the key is no point of
  /// the curve.
  case invalidKey
  /// The cryptography library could not sign.
  case signingFailed
}

extension SigningError: CustomStringConvertible {
  /// A sentence for the user; never tells anything of a secret key.
  public var description: String {
    switch self {
    case .missingColon: "expected a name, a colon and base64"
    case .invalidName(let name):
      "the name \(quoted(name.utf8)) is empty or holds white space, a colon or what is no text"
    case .invalidBase64(let error): "malformed base64: \(error)"
    case .invalidLength(let expected, let found): "expected \(expected) bytes, found \(found)"
    case .invalidKey: "the key is inconsistent"
    case .signingFailed: "signing failed"
    }
  }
}

/// The form that signatures and keys share: a name, a colon, base64.
struct NamedBytes {
  let name: String
  let bytes: [UInt8]

  init(parsing text: Span<UInt8>, byteCount: Int) throws(SigningError) {
    guard let colon = text.firstIndex(of: UInt8(ascii: ":")) else { throw .missingColon }
    let name = text.extracting(..<colon)
    guard let valid = String(validating: name.array, as: UTF8.self) else {
      throw .invalidName(name.printable)
    }
    self.name = try Self.validName(valid)
    let encoded = text.extracting((colon + 1)...)
    do {
      bytes = try Base64.decode(encoded)
    } catch {
      throw .invalidBase64(error)
    }
    guard bytes.count == byteCount else {
      throw .invalidLength(expected: byteCount, found: bytes.count)
    }
  }

  static func validName(_ name: String) throws(SigningError) -> String {
    // Nix takes all up to the first colon. White space would end the line of a narinfo or the key in a
    // list of trusted ones.
    let isValid = name.unicodeScalars.allSatisfy { scalar in
      scalar != ":" && !scalar.properties.isWhitespace
        && scalar.properties.generalCategory != .control
    }
    guard isValid, !name.isEmpty else { throw .invalidName(name) }
    return name
  }

  static func text(name: String, bytes: [UInt8]) -> String {
    "\(name):\(Base64.encode(bytes.span))"
  }
}
