extension NARListing {
  /// The JSON of a `.ls` file, keys in alphabetical order and without white space.
  ///
  /// - Throws: `malformedTree` if the tree is not whole; `notUTF8` for a name or target that JSON
  ///   cannot hold.
  public func json() throws(NARListingError) -> String {
    guard isComplete else { throw .malformedTree(.unexpectedEnd) }
    var text = "{\"root\":"
    // Whether the innermost directory has no entry yet: of those around it, it is known that
    // they have one.
    var isFirst = true
    for item in items {
      switch item.event {
      case .directoryStart:
        text += "{\"entries\":{"
        isFirst = true
        continue
      case .entry(let name):
        if !isFirst { text += "," }
        try Self.append(name, to: &text)
        text += ":"
      case .file(let size, let isExecutable):
        text += isExecutable ? "{\"executable\":true," : "{"
        if let narOffset = item.narOffset { text += "\"narOffset\":\(narOffset)," }
        text += "\"size\":\(size),\"type\":\"regular\"}"
      case .symlink(let target):
        text += "{\"target\":"
        try Self.append(target, to: &text)
        text += ",\"type\":\"symlink\"}"
      case .directoryEnd:
        text += "},\"type\":\"directory\"}"
      }
      isFirst = false
    }
    return text + ",\"version\":1}"
  }

  private static func append(
    _ bytes: [UInt8],
    to text: inout String
  ) throws(NARListingError) {
    guard let string = String(validating: bytes, as: UTF8.self) else { throw .notUTF8(bytes) }
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case "\0"..."\u{1f}": text += "\\u00" + hexDigits(of: UInt8(scalar.value))
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}
