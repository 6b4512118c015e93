import Castore

/// A JSON value to print.
indirect enum JSON {
  case string(String)
  case integer(UInt64)
  case boolean(Bool)
  case array([JSON])
  case object([(key: String, value: JSON)])

  /// The value as text, on one line.
  var text: String {
    var text = ""
    write(to: &text)
    return text
  }

  private func write(to text: inout String) {
    switch self {
    case .string(let string): Self.write(string, to: &text)
    case .integer(let number): text += String(number)
    case .boolean(let value): text += value ? "true" : "false"
    case .array(let values):
      text += "["
      for (index, value) in values.enumerated() {
        if index > 0 { text += "," }
        value.write(to: &text)
      }
      text += "]"
    case .object(let members):
      text += "{"
      for (index, member) in members.enumerated() {
        if index > 0 { text += "," }
        Self.write(member.key, to: &text)
        text += ":"
        member.value.write(to: &text)
      }
      text += "}"
    }
  }

  private static func write(_ string: String, to text: inout String) {
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\t": text += "\\t"
      case "\r": text += "\\r"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}

extension JSON {
  /// A byte string under a key: as text where it is UTF-8, in hexadecimal under `KEYHex` where not.
  static func bytes(_ key: String, _ bytes: [UInt8]) -> (key: String, value: JSON) {
    if let text = String(validating: bytes, as: UTF8.self) { return (key, .string(text)) }
    let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    return (key + "Hex", .string(digits))
  }

  /// What a node is: its kind and what belongs to that.
  static func members(of node: Node) -> [(key: String, value: JSON)] {
    switch node {
    case .directory(let digest, let size):
      [
        ("type", .string("directory")), ("digest", .string(digest.description)),
        ("size", .integer(size)),
      ]
    case .file(let digest, let size, let isExecutable):
      [
        ("type", .string("file")), ("digest", .string(digest.description)),
        ("size", .integer(size)), ("executable", .boolean(isExecutable)),
      ]
    case .symlink(let target):
      [("type", .string("symlink")), bytes("target", target.bytes)]
    }
  }
}
