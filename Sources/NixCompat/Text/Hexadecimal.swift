/// Lower-case hexadecimal, as Nix prints and reads it.
enum Hexadecimal {
  static func encode(_ bytes: Span<UInt8>) -> String {
    String(unsafeUninitializedCapacity: bytes.count * 2) { output in
      for index in bytes.indices {
        output[index * 2] = digit(bytes[index] >> 4)
        output[index * 2 + 1] = digit(bytes[index] & 15)
      }
      return bytes.count * 2
    }
  }

  /// Decodes digits of either case.
  static func decode(_ text: Span<UInt8>) throws(TextEncodingError) -> [UInt8] {
    guard text.count.isMultiple(of: 2) else { throw .invalidLength(text.count) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count / 2)
    for index in stride(from: 0, to: text.count, by: 2) {
      bytes.append(try value(text, at: index) << 4 | value(text, at: index + 1))
    }
    return bytes
  }

  private static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + (value - 10)
  }

  private static func value(
    _ text: Span<UInt8>,
    at index: Int
  ) throws(TextEncodingError) -> UInt8 {
    let byte = text[index]
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): return byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): return byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): return byte - UInt8(ascii: "A") + 10
    default: throw .invalidCharacter(byte, position: index)
    }
  }
}

func hexDigits(of byte: UInt8) -> String {
  let digits = String(byte, radix: 16)
  return byte < 16 ? "0" + digits : digits
}
