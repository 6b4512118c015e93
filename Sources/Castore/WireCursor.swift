/// Reads protobuf fields off borrowed bytes, and only in the one form that canonical encoding gives.
///
/// Never traps, never allocates; gives places in the bytes instead of copies.
package struct WireCursor: ~Escapable {
  package let bytes: RawSpan
  package private(set) var offset: Int
  private let end: Int

  @_lifetime(copy bytes)
  package init(_ bytes: RawSpan) {
    self.bytes = bytes
    offset = 0
    end = bytes.byteCount
  }

  /// Reads a part of the bytes. The range must lie within them.
  @_lifetime(copy bytes)
  package init(_ bytes: RawSpan, _ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= bytes.byteCount)
    self.bytes = bytes
    offset = range.lowerBound
    end = range.upperBound
  }

  package var isAtEnd: Bool { offset == end }

  /// Reads a number of at most 64 bits, written with as few bytes as it needs.
  @_lifetime(self: copy self)
  package mutating func number() throws(WireError) -> UInt64 {
    let start = offset
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while offset < end {
      // In bounds: offset < end <= byteCount, and offset only grows from a checked start.
      let byte = bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
      offset += 1
      // The tenth byte holds the one bit that is left.
      if shift == 63 && byte > 1 { throw WireError(.numberTooLarge, at: start) }
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 {
        if byte == 0 && shift > 0 { throw WireError(.numberNotMinimal, at: start) }
        return value
      }
      shift += 7
    }
    throw WireError(.truncated, at: start)
  }

  /// Reads the tag of a field: its number and its wire type.
  @_lifetime(self: copy self)
  package mutating func tag() throws(WireError) -> (field: UInt64, type: UInt64) {
    let tag = try number()
    return (tag >> 3, tag & 7)
  }

  /// Reads a length and steps over as many bytes.
  ///
  /// - Returns: Where they lie.
  @_lifetime(self: copy self)
  package mutating func lengthDelimited() throws(WireError) -> Range<Int> {
    let start = offset
    let length = try number()
    guard length <= UInt64(end - offset) else { throw WireError(.truncated, at: start) }
    let content = offset..<(offset + Int(length))
    offset = content.upperBound
    return content
  }

  /// The wire type of numbers.
  package static var varint: UInt64 { 0 }
  /// The wire type of everything that is preceded by its length.
  package static var delimited: UInt64 { 2 }
}
