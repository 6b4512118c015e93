/// Reads the text in which Nix registers paths: of each the path, perhaps its hash and size, the
/// derivation, the number of references and these, each on a line of its own.
struct RegistrationParser {
  private let text: [UInt8]
  private var offset = 0

  init(_ text: [UInt8]) {
    self.text = text
  }

  /// Reads all paths.
  mutating func run() throws(ClosureError) -> [ClosureParser.Fields] {
    var entries: [ClosureParser.Fields] = []
    while offset < text.count { entries.append(try entry()) }
    return entries
  }

  private mutating func entry() throws(ClosureError) -> ClosureParser.Fields {
    var fields = ClosureParser.Fields()
    fields.path = try line("a store path")
    var next = try line("a hash or a derivation")
    if next.isEmpty || next.utf8.first == UInt8(ascii: "/") {
      fields.isUnhashed = true
    } else {
      fields.narHash = next
      fields.narSize = try number("the size of a NAR")
      next = try line("a derivation")
    }
    fields.deriver = next
    let count = try number("the number of references")
    var references: [String] = []
    // The count is only believed as far as there are lines.
    while UInt64(references.count) < count { references.append(try line("a reference")) }
    fields.references = references
    return fields
  }

  private mutating func number(_ what: String) throws(ClosureError) -> UInt64 {
    let start = offset
    guard let number = UInt64(try line(what)) else {
      throw .malformed("expected \(what)", offset: start)
    }
    return number
  }

  private mutating func line(_ what: String) throws(ClosureError) -> String {
    guard let end = text[offset...].firstIndex(of: UInt8(ascii: "\n")) else {
      throw .malformed("expected \(what), and a line's end", offset: text.count)
    }
    defer { offset = end + 1 }
    return String(decoding: text[offset..<end], as: UTF8.self)
  }
}
