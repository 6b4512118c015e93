/// Why a text is not a signature or a key.
public enum SigningError: Error, Hashable, Sendable {
  /// No colon parts the name from the rest.
  case missingColon
  /// The name is empty or holds something else than letters, digits, dashes and dots.
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
      "the name \(quoted(name.utf8)) is empty or holds more than letters, digits, \"-\" and \".\""
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
    self.name = try Self.validName(name.printable)
    // The decoder replaces what is not UTF-8; the replacement is no letter, so it was refused.
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
    let isValid = name.unicodeScalars.allSatisfy { scalar in
      if scalar == "-" || scalar == "." || scalar.properties.isAlphabetic { return true }
      return switch scalar.properties.generalCategory {
      case .decimalNumber, .letterNumber, .otherNumber: true
      default: false
      }
    }
    guard isValid, !name.isEmpty else { throw .invalidName(name) }
    return name
  }

  static func text(name: String, bytes: [UInt8]) -> String {
    "\(name):\(Base64.encode(bytes.span))"
  }
}
