/// Why a text in nixbase32, base64 or hexadecimal does not stand for bytes.
public enum TextEncodingError: Error, Hashable, Sendable {
  /// No byte string has an encoding of this many characters, or not one of the wanted length.
  case invalidLength(Int)
  /// A character outside of the alphabet, and where it stands.
  case invalidCharacter(UInt8, position: Int)
  /// The bits that stand for nothing are not all zero.
  case nonzeroTrailingBits
}

extension TextEncodingError: CustomStringConvertible {
  /// A sentence for the user.
  public var description: String {
    switch self {
    case .invalidLength(let count):
      "\(count) characters are not a whole encoding"
    case .invalidCharacter(let byte, let position):
      "byte 0x\(hexDigits(of: byte)) at position \(position) is not in the alphabet"
    case .nonzeroTrailingBits:
      "the unused bits of the encoding are not zero"
    }
  }
}
