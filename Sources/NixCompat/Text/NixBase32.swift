/// Nix's own base 32: its own alphabet (no e, o, t, u), and the most significant digit of the
/// byte string, read as a little-endian number, comes first.
public enum NixBase32 {
  private static let alphabet: StaticString = "0123456789abcdfghijklmnpqrsvwxyz"

  /// How many characters encode this many bytes.
  public static func encodedLength(_ byteCount: Int) -> Int {
    byteCount == 0 ? 0 : (byteCount * 8 - 1) / 5 + 1
  }

  /// How many bytes this many characters hold.
  public static func decodedLength(_ characterCount: Int) -> Int {
    characterCount * 5 / 8
  }

  /// Encodes bytes.
  public static func encode(_ bytes: Span<UInt8>) -> String {
    let length = encodedLength(bytes.count)
    let alphabet = alphabet.utf8Start
    return String(unsafeUninitializedCapacity: length) { output in
      for digit in 0..<length {
        let (index, shift) = (digit * 5).quotientAndRemainder(dividingBy: 8)
        var window = UInt16(bytes[index])
        if index + 1 < bytes.count { window |= UInt16(bytes[index + 1]) << 8 }
        // In bounds: a digit has 5 bits and the alphabet 32 characters.
        output[length - 1 - digit] = alphabet[Int(window >> UInt16(shift)) & 31]
      }
      return length
    }
  }

  /// Encodes bytes.
  public static func encode(_ bytes: [UInt8]) -> String {
    encode(bytes.span)
  }

  /// Decodes text.
  ///
  /// Accepts exactly what `encode` produces: no other length, no upper case, no bits left over.
  public static func decode(_ text: Span<UInt8>) throws(TextEncodingError) -> [UInt8] {
    // Past this the bit arithmetic could overflow; no text in memory is that long.
    guard text.count < Int.max / 8 else { throw .invalidLength(text.count) }
    let byteCount = decodedLength(text.count)
    guard encodedLength(byteCount) == text.count else { throw .invalidLength(text.count) }
    var bytes = [UInt8](repeating: 0, count: byteCount)
    for digit in 0..<text.count {
      let position = text.count - 1 - digit
      guard let value = value(of: text[position]) else {
        throw .invalidCharacter(text[position], position: position)
      }
      let (index, shift) = (digit * 5).quotientAndRemainder(dividingBy: 8)
      let window = UInt16(value) << UInt16(shift)
      bytes[index] |= UInt8(truncatingIfNeeded: window)
      let carry = UInt8(truncatingIfNeeded: window >> 8)
      if index + 1 < byteCount {
        bytes[index + 1] |= carry
      } else if carry != 0 {
        throw .nonzeroTrailingBits
      }
    }
    return bytes
  }

  /// Decodes text.
  public static func decode(_ text: String) throws(TextEncodingError) -> [UInt8] {
    try decode(text.utf8Span.span)
  }

  private static func value(of byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "d"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "f")...UInt8(ascii: "n"): byte - UInt8(ascii: "f") + 14
    case UInt8(ascii: "p")...UInt8(ascii: "s"): byte - UInt8(ascii: "p") + 23
    case UInt8(ascii: "v")...UInt8(ascii: "z"): byte - UInt8(ascii: "v") + 27
    default: nil
    }
  }
}
