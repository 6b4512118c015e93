/// The standard base64 alphabet, without tolerance: what decodes, encodes to the same text again.
enum Base64 {
  static func encode(_ bytes: Span<UInt8>) -> String {
    let length = paddedLength(bytes.count)
    return String(unsafeUninitializedCapacity: length) { output in
      var position = 0
      for index in stride(from: 0, to: bytes.count, by: 3) {
        let count = min(3, bytes.count - index)
        var group = UInt32(bytes[index]) << 16
        if count > 1 { group |= UInt32(bytes[index + 1]) << 8 }
        if count > 2 { group |= UInt32(bytes[index + 2]) }
        for digit in 0..<4 {
          let value = UInt8(truncatingIfNeeded: group >> (18 - 6 * UInt32(digit))) & 63
          output[position] = digit <= count ? character(value) : UInt8(ascii: "=")
          position += 1
        }
      }
      return length
    }
  }

  /// How many characters this many bytes take, padding included.
  static func paddedLength(_ byteCount: Int) -> Int {
    (byteCount + 2) / 3 * 4
  }

  /// Decodes text that is padded to a multiple of four characters.
  static func decode(_ text: Span<UInt8>) throws(TextEncodingError) -> [UInt8] {
    guard text.count.isMultiple(of: 4) else { throw .invalidLength(text.count) }
    let padding = trailingPadding(text)
    guard padding <= 2 else { throw .invalidLength(text.count) }
    return try decodeUnpadded(text.extracting(droppingLast: padding))
  }

  /// Decodes text with any amount of padding, also none.
  static func decodeIgnoringPadding(_ text: Span<UInt8>) throws(TextEncodingError) -> [UInt8] {
    try decodeUnpadded(text.extracting(droppingLast: trailingPadding(text)))
  }

  private static func trailingPadding(_ text: Span<UInt8>) -> Int {
    var count = 0
    while count < text.count, text[text.count - 1 - count] == UInt8(ascii: "=") { count += 1 }
    return count
  }

  private static func decodeUnpadded(_ text: Span<UInt8>) throws(TextEncodingError) -> [UInt8] {
    guard text.count % 4 != 1 else { throw .invalidLength(text.count) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count / 4 * 3 + 2)
    var bits: UInt32 = 0
    var bitCount = 0
    for index in text.indices {
      bits = bits << 6 | UInt32(try value(text[index], position: index))
      bitCount += 6
      if bitCount >= 8 {
        bitCount -= 8
        bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
        bits &= (1 << UInt32(bitCount)) - 1
      }
    }
    guard bits == 0 else { throw .nonzeroTrailingBits }
    return bytes
  }

  private static func character(_ value: UInt8) -> UInt8 {
    switch value {
    case 0..<26: UInt8(ascii: "A") + value
    case 26..<52: UInt8(ascii: "a") + (value - 26)
    case 52..<62: UInt8(ascii: "0") + (value - 52)
    case 62: UInt8(ascii: "+")
    default: UInt8(ascii: "/")
    }
  }

  private static func value(_ byte: UInt8, position: Int) throws(TextEncodingError) -> UInt8 {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): return byte - UInt8(ascii: "A")
    case UInt8(ascii: "a")...UInt8(ascii: "z"): return byte - UInt8(ascii: "a") + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): return byte - UInt8(ascii: "0") + 52
    case UInt8(ascii: "+"): return 62
    case UInt8(ascii: "/"): return 63
    default: throw .invalidCharacter(byte, position: position)
    }
  }
}
