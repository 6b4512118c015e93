/// Writes protobuf fields one after the other.
struct FieldWriter {
  private(set) var bytes: [UInt8] = []

  /// Appends a field that is preceded by its length: bytes, text or a message.
  mutating func append(_ field: UInt8, _ content: [UInt8]) {
    bytes.append(field << 3 | 2)
    append(UInt64(content.count))
    bytes += content
  }

  /// Appends a number, unless it is what its absence says.
  mutating func append(_ field: UInt8, number: UInt64) {
    if number == 0 { return }
    bytes.append(field << 3)
    append(number)
  }

  private mutating func append(_ number: UInt64) {
    var rest = number
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}
