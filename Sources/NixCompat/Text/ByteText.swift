// Helpers for text formats: they are all ASCII at heart, so they are parsed as bytes, never as
// characters (a grapheme may swallow a separator).

extension Span where Element == UInt8 {
  /// The bytes, copied.
  var array: [UInt8] {
    withUnsafeBufferPointer { Array($0) }
  }

  func firstIndex(of byte: UInt8) -> Int? {
    for index in indices where self[index] == byte { return index }
    return nil
  }

  func hasPrefix(_ prefix: String) -> Bool {
    let prefix = prefix.utf8Span.span
    guard count >= prefix.count else { return false }
    for index in prefix.indices where self[index] != prefix[index] { return false }
    return true
  }

  func hasSuffix(_ suffix: String) -> Bool {
    count >= suffix.utf8.count && extracting(last: suffix.utf8.count).hasPrefix(suffix)
  }

  func isEqual(to text: String) -> Bool {
    count == text.utf8.count && hasPrefix(text)
  }

  /// The bytes as text, with what is not UTF-8 replaced: for messages only.
  var printable: String {
    withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
  }
}

/// An unsigned decimal number as it is printed: digits alone, the first not 0 unless the only one.
///
/// - Returns: `nil` for anything else, numbers past 64 bits included.
func parseDecimal(_ text: Span<UInt8>) -> UInt64? {
  guard text.count > 0, text.count == 1 || text[0] != UInt8(ascii: "0") else { return nil }
  var value: UInt64 = 0
  for index in text.indices {
    guard case UInt8(ascii: "0")...UInt8(ascii: "9") = text[index] else { return nil }
    let (product, overflowed) = value.multipliedReportingOverflow(by: 10)
    let (sum, carried) = product.addingReportingOverflow(UInt64(text[index] - UInt8(ascii: "0")))
    guard !overflowed, !carried else { return nil }
    value = sum
  }
  return value
}

/// Bytes for an error message: shortened, quoted, everything but plain ASCII escaped.
func quoted(_ bytes: some Collection<UInt8>) -> String {
  var text = "\""
  for byte in bytes.prefix(80) {
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"):
      text += "\\" + String(UnicodeScalar(byte))
    case 0x20...0x7e:
      text.unicodeScalars.append(UnicodeScalar(byte))
    default:
      text += "\\x" + hexDigits(of: byte)
    }
  }
  return text + (bytes.count > 80 ? "…\"" : "\"")
}
