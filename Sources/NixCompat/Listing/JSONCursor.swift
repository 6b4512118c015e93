/// Reads JSON token by token. Knows no nesting: whoever reads keeps count of that.
package struct JSONCursor: ~Escapable {
  private let text: Span<UInt8>
  package private(set) var offset = 0

  @_lifetime(copy text)
  package init(_ text: Span<UInt8>) {
    self.text = text
  }

  /// Goes on at an offset where it was before.
  @_lifetime(self: copy self)
  package mutating func move(to offset: Int) {
    precondition(offset <= text.count, "a cursor stays within its text")
    self.offset = offset
  }

  /// The next byte that is not white space, left where it is.
  @_lifetime(self: copy self)
  package mutating func peek() -> UInt8? {
    while offset < text.count {
      switch text[offset] {
      case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"):
        offset += 1
      default:
        return text[offset]
      }
    }
    return nil
  }

  /// Takes the byte if it comes next.
  @_lifetime(self: copy self)
  package mutating func take(_ byte: Character) -> Bool {
    guard peek() == byte.asciiValue else { return false }
    offset += 1
    return true
  }

  @_lifetime(self: copy self)
  package mutating func require(_ byte: Character) throws(NARListingError) {
    guard take(byte) else { throw .invalidJSON(offset: offset) }
  }

  /// A whole number of 64 bits without sign, fraction or exponent.
  @_lifetime(self: copy self)
  package mutating func number() throws(NARListingError) -> UInt64 {
    _ = peek()
    let start = offset
    while offset < text.count, UInt8(ascii: "0")...UInt8(ascii: "9") ~= text[offset] { offset += 1 }
    guard let number = parseDecimal(text.extracting(start..<offset)) else {
      throw .unexpected("expected a number", offset: start)
    }
    return number
  }

  @_lifetime(self: copy self)
  package mutating func boolean() throws(NARListingError) -> Bool {
    if takeWord("true") { return true }
    if takeWord("false") { return false }
    throw .unexpected("expected true or false", offset: offset)
  }

  @_lifetime(self: copy self)
  package mutating func string() throws(NARListingError) -> String {
    try require("\"")
    let start = offset
    var bytes: [UInt8] = []
    while offset < text.count {
      let byte = text[offset]
      offset += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let string = String(validating: bytes, as: UTF8.self) else {
          throw .invalidJSON(offset: start)
        }
        return string
      case UInt8(ascii: "\\"): bytes.append(contentsOf: Array(String(try escape()).utf8))
      case 0..<0x20: throw .invalidJSON(offset: offset - 1)
      default: bytes.append(byte)
      }
    }
    throw .invalidJSON(offset: offset)
  }

  /// Skips a value of any kind.
  @_lifetime(self: copy self)
  package mutating func skipValue() throws(NARListingError) {
    // Only brackets and strings matter for where a value ends, so what is skipped is not checked
    // further. The open brackets are data: depth costs no stack.
    var open: [UInt8] = []
    repeat {
      guard let byte = peek() else { throw .invalidJSON(offset: offset) }
      switch byte {
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        open.append(byte)
        offset += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        // In ASCII both closing brackets stand two after the opening ones.
        guard open.popLast() == byte - 2 else { throw .invalidJSON(offset: offset) }
        offset += 1
      case UInt8(ascii: "\""):
        _ = try string()
      case UInt8(ascii: ","), UInt8(ascii: ":"):
        guard !open.isEmpty else { throw .invalidJSON(offset: offset) }
        offset += 1
      default:
        try skipWord()
      }
    } while !open.isEmpty
  }

  /// Takes numbers and the words `true`, `false` and `null`.
  @_lifetime(self: copy self)
  private mutating func skipWord() throws(NARListingError) {
    let start = offset
    while offset < text.count {
      switch text[offset] {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "E"):
        offset += 1
        continue
      default: break
      }
      break
    }
    guard offset > start else { throw .invalidJSON(offset: start) }
  }

  @_lifetime(self: copy self)
  private mutating func takeWord(_ word: String) -> Bool {
    _ = peek()
    guard text.extracting(offset...).hasPrefix(word) else { return false }
    offset += word.utf8.count
    return true
  }

  @_lifetime(self: copy self)
  private mutating func escape() throws(NARListingError) -> Unicode.Scalar {
    guard offset < text.count else { throw .invalidJSON(offset: offset) }
    let byte = text[offset]
    offset += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{c}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): return try unicodeEscape()
    default: throw .invalidJSON(offset: offset - 1)
    }
  }

  /// What follows `\u`, with the second half of a pair of surrogates.
  @_lifetime(self: copy self)
  private mutating func unicodeEscape() throws(NARListingError) -> Unicode.Scalar {
    let start = offset
    let first = try hexadecimalUnit()
    var value = UInt32(first)
    if UTF16.isLeadSurrogate(first) {
      guard text.extracting(offset...).hasPrefix("\\u") else { throw .invalidJSON(offset: start) }
      offset += 2
      let second = try hexadecimalUnit()
      guard UTF16.isTrailSurrogate(second) else { throw .invalidJSON(offset: start) }
      value = 0x10000 + UInt32(first & 0x3ff) << 10 + UInt32(second & 0x3ff)
    }
    guard let scalar = Unicode.Scalar(value) else { throw .invalidJSON(offset: start) }
    return scalar
  }

  @_lifetime(self: copy self)
  private mutating func hexadecimalUnit() throws(NARListingError) -> UInt16 {
    guard text.count - offset >= 4,
      let bytes = try? Hexadecimal.decode(text.extracting(offset..<(offset + 4)))
    else { throw .invalidJSON(offset: offset) }
    offset += 4
    return UInt16(bytes[0]) << 8 | UInt16(bytes[1])
  }
}
