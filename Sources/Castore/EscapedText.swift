/// Makes bytes fit for a terminal, a log line or an error message, without hiding what they are.
///
/// Valid UTF-8 stays readable. Control characters, backslashes, quotes, line separators and
/// characters that turn the direction of writing are escaped, and so is every byte that is not
/// part of valid UTF-8 (`\xff`).
package func escaped(_ bytes: some Collection<UInt8>) -> String {
  var text = ""
  var parser = Unicode.UTF8.ForwardParser()
  var rest = bytes.makeIterator()
  var position = bytes.startIndex
  while true {
    switch parser.parseScalar(from: &rest) {
    case .emptyInput:
      return text
    case .valid(let encoded):
      bytes.formIndex(&position, offsetBy: encoded.count)
      append(Unicode.UTF8.decode(encoded), to: &text)
    case .error(let length):
      for _ in 0..<length {
        append(hexadecimal: bytes[position], to: &text)
        bytes.formIndex(after: &position)
      }
    }
  }
}

/// Makes text fit for a terminal, a log line or an error message.
package func escaped(_ text: String) -> String {
  escaped(text.utf8)
}

private func append(hexadecimal byte: UInt8, to text: inout String) {
  text += "\\x"
  text.unicodeScalars.append(Unicode.Scalar(Hex.digit(byte >> 4)))
  text.unicodeScalars.append(Unicode.Scalar(Hex.digit(byte & 15)))
}

private func append(_ scalar: Unicode.Scalar, to text: inout String) {
  switch scalar {
  case "\n": text += "\\n"
  case "\t": text += "\\t"
  case "\r": text += "\\r"
  case "\\": text += "\\\\"
  case "\"": text += "\\\""
  case "\0"..<" ", "\u{7f}":
    append(hexadecimal: UInt8(truncatingIfNeeded: scalar.value), to: &text)
  case "\u{80}"..."\u{9f}", "\u{200e}"..."\u{200f}", "\u{2028}"..."\u{202e}",
    "\u{2066}"..."\u{2069}", "\u{feff}":
    text += "\\u{" + String(scalar.value, radix: 16) + "}"
  default:
    text.unicodeScalars.append(scalar)
  }
}
