/// Base64 as in RFC 4648, strict when reading: no white space, and only the one text that
/// encoding would give.
package enum Base64 {
  /// The two characters that differ between the alphabets, and whether `=` fills the last group.
  package enum Variant {
    /// `+`, `/`, padded.
    case standard
    /// `-`, `_`, not padded: fit for URLs.
    case url
  }

  /// Encodes bytes.
  package static func encode(
    _ bytes: UnsafeRawBufferPointer,
    _ variant: Variant = .standard
  ) -> String {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    var index = 0
    while index < bytes.count {
      let count = Swift.min(3, bytes.count - index)
      var group: UInt32 = 0
      for place in 0..<3 {
        group = group << 8 | (place < count ? UInt32(bytes[index + place]) : 0)
      }
      for place in 0..<4 where place <= count {
        text.append(character(UInt8(truncatingIfNeeded: group >> (18 - 6 * place)) & 63, variant))
      }
      if variant == .standard {
        for _ in count..<3 { text.append(UInt8(ascii: "=")) }
      }
      index += 3
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// Decodes text; `nil` where it is not exactly what encoding some bytes would give.
  package static func decode(
    _ text: some BidirectionalCollection<UInt8>,
    _ variant: Variant = .standard
  ) -> [UInt8]? {
    var digits = text[...]
    if variant == .standard {
      guard text.count % 4 == 0 else { return nil }
      for _ in 0..<2 where digits.last == UInt8(ascii: "=") { digits.removeLast() }
    }
    // A lone digit holds fewer than eight bits.
    guard digits.count % 4 != 1 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 4 * 3 + 2)
    var bits: UInt32 = 0
    var bitCount = 0
    for character in digits {
      guard let value = value(character, variant) else { return nil }
      bits = bits << 6 | UInt32(value)
      bitCount += 6
      if bitCount >= 8 {
        bitCount -= 8
        bytes.append(UInt8(truncatingIfNeeded: bits >> bitCount))
        bits &= (1 << bitCount) - 1
      }
    }
    return bits == 0 ? bytes : nil
  }

  private static func character(_ value: UInt8, _ variant: Variant) -> UInt8 {
    switch value {
    case 0..<26: UInt8(ascii: "A") + value
    case 26..<52: UInt8(ascii: "a") + (value - 26)
    case 52..<62: UInt8(ascii: "0") + (value - 52)
    case 62: variant == .standard ? UInt8(ascii: "+") : UInt8(ascii: "-")
    default: variant == .standard ? UInt8(ascii: "/") : UInt8(ascii: "_")
    }
  }

  private static func value(_ character: UInt8, _ variant: Variant) -> UInt8? {
    switch (character, variant) {
    case (UInt8(ascii: "A")...UInt8(ascii: "Z"), _): character - UInt8(ascii: "A")
    case (UInt8(ascii: "a")...UInt8(ascii: "z"), _): character - UInt8(ascii: "a") + 26
    case (UInt8(ascii: "0")...UInt8(ascii: "9"), _): character - UInt8(ascii: "0") + 52
    case (UInt8(ascii: "+"), .standard), (UInt8(ascii: "-"), .url): 62
    case (UInt8(ascii: "/"), .standard), (UInt8(ascii: "_"), .url): 63
    default: nil
    }
  }
}
