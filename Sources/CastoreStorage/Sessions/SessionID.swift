/// The name of a session: 64 random bits, 16 hexadecimal digits in names of folders and packs.
struct SessionID: Hashable, Sendable {
  let bits: UInt64

  /// How long the text is.
  static let textCount = 16

  /// A name that nobody has or had.
  static func random() -> SessionID {
    SessionID(bits: .random(in: 1 ... .max))
  }

  init(bits: UInt64) {
    self.bits = bits
  }

  /// Reads 16 lower-case hexadecimal digits; `nil` for anything else.
  init?(_ text: some Sequence<UInt8>) {
    var bits: UInt64 = 0
    var count = 0
    for byte in text {
      let digit: UInt8
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      default: return nil
      }
      if count == Self.textCount { return nil }
      bits = bits << 4 | UInt64(digit)
      count += 1
    }
    if count != Self.textCount { return nil }
    self.bits = bits
  }
}

extension SessionID: CustomStringConvertible {
  var description: String {
    let text = String(bits, radix: 16)
    return String(repeating: "0", count: Self.textCount - text.count) + text
  }
}
