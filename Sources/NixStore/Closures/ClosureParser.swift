internal import NixCompat

/// Reads the JSON of a `ClosureDocument` into texts, which are not checked yet.
struct ClosureParser: ~Escapable {
  /// An entry as it stands there.
  struct Fields {
    var path: String?
    var narHash: String?
    var narSize: UInt64?
    var references: [String]?
    var deriver: String?
    var signatures: [String] = []
    var contentAddress: String?
    var isNull = false
  }

  private var cursor: JSONCursor

  @_lifetime(copy text)
  init(_ text: Span<UInt8>) {
    cursor = JSONCursor(text)
  }

  @_lifetime(self: copy self)
  mutating func run() throws(NARListingError) -> [Fields] {
    let entries = try document()
    if cursor.peek() != nil {
      throw .unexpected("there is something after the end", offset: cursor.offset)
    }
    return entries
  }

  @_lifetime(self: copy self)
  private mutating func document() throws(NARListingError) -> [Fields] {
    if cursor.peek() == UInt8(ascii: "[") { return try list() }
    try cursor.require("{")
    var entries: [Fields] = []
    var graphs = 0
    if cursor.take("}") { return [] }
    repeat {
      let key = try cursor.string()
      try cursor.require(":")
      if key.hasPrefix("/") {
        var entry = try fields()
        if entry.path == nil { entry.path = key }
        entries.append(entry)
      } else if cursor.peek() == UInt8(ascii: "["), key != "outputs" {
        // A reference graph in the attributes of a structured derivation; others hold no objects.
        let start = cursor.offset
        graphs += 1
        if graphs > 1 { throw .unexpected("there is a second list", offset: start) }
        entries += try list()
      } else {
        try cursor.skipValue()
      }
    } while cursor.take(",")
    try cursor.require("}")
    return entries
  }

  @_lifetime(self: copy self)
  private mutating func list() throws(NARListingError) -> [Fields] {
    try cursor.require("[")
    var entries: [Fields] = []
    if cursor.take("]") { return entries }
    repeat {
      entries.append(try fields())
    } while cursor.take(",")
    try cursor.require("]")
    return entries
  }

  @_lifetime(self: copy self)
  private mutating func fields() throws(NARListingError) -> Fields {
    var fields = Fields()
    if try takeNull() {
      fields.isNull = true
      return fields
    }
    try cursor.require("{")
    if cursor.take("}") { return fields }
    repeat {
      let key = try cursor.string()
      try cursor.require(":")
      switch key {
      case "path": fields.path = try cursor.string()
      case "narHash": fields.narHash = try cursor.string()
      case "narSize": fields.narSize = try cursor.number()
      case "references": fields.references = try strings()
      case "deriver": fields.deriver = try stringOrNull()
      case "signatures": fields.signatures = try strings()
      case "ca": fields.contentAddress = try stringOrNull()
      default: try cursor.skipValue()
      }
    } while cursor.take(",")
    try cursor.require("}")
    return fields
  }

  @_lifetime(self: copy self)
  private mutating func strings() throws(NARListingError) -> [String] {
    try cursor.require("[")
    var strings: [String] = []
    if cursor.take("]") { return strings }
    repeat {
      strings.append(try cursor.string())
    } while cursor.take(",")
    try cursor.require("]")
    return strings
  }

  @_lifetime(self: copy self)
  private mutating func stringOrNull() throws(NARListingError) -> String? {
    try takeNull() ? nil : try cursor.string()
  }

  @_lifetime(self: copy self)
  private mutating func takeNull() throws(NARListingError) -> Bool {
    guard cursor.peek() == UInt8(ascii: "n") else { return false }
    try cursor.skipValue()
    return true
  }
}

extension ClosureDocument.Entry {
  /// Checks the fields of an entry.
  init(_ fields: ClosureParser.Fields, number: Int) throws(ClosureError) {
    guard let path = fields.path else {
      throw .invalidField(path: "entry \(number)", field: "path", reason: "it is missing")
    }
    func missing(_ field: String) -> ClosureError {
      .invalidField(path: path, field: field, reason: "it is missing")
    }
    if fields.isNull { throw missing("everything") }
    storePath = try Self.storePath(path, path, "path")
    guard let narHash = fields.narHash else { throw missing("narHash") }
    guard let narSize = fields.narSize else { throw missing("narSize") }
    guard let references = fields.references else { throw missing("references") }
    self.narSize = narSize
    do throws(HashParseError) {
      guard let hash = try NixHash(parsing: narHash, algorithm: .sha256).sha256 else {
        preconditionFailure("the algorithm was asked for")
      }
      self.narHash = hash
    } catch {
      throw .invalidField(path: path, field: "narHash", reason: "\(error)")
    }
    var paths: [StorePath] = []
    for reference in references {
      paths.append(try Self.storePath(reference, path, "references"))
    }
    self.references = paths
    deriver = try fields.deriver.flatMap { (text) throws(ClosureError) in
      try Self.deriver(text, path)
    }
    var signatures: [NixSignature] = []
    for signature in fields.signatures {
      do throws(SigningError) {
        signatures.append(try NixSignature(parsing: signature))
      } catch {
        throw .invalidField(path: path, field: "signatures", reason: "\(error)")
      }
    }
    self.signatures = signatures
    contentAddress = try fields.contentAddress.flatMap { (text) throws(ClosureError) in
      if text.isEmpty { return nil }
      do throws(ContentAddressError) {
        return try ContentAddress(parsing: text)
      } catch {
        throw .invalidField(path: path, field: "ca", reason: "\(error)")
      }
    }
  }

  private static func deriver(
    _ text: String,
    _ path: String
  ) throws(ClosureError) -> StorePath? {
    if text.isEmpty || text == "unknown-deriver" { return nil }
    guard text.hasSuffix(".drv") else {
      throw .invalidField(path: path, field: "deriver", reason: "it does not end with \".drv\"")
    }
    return try storePath(String(text.dropLast(4)), path, "deriver")
  }

  // Some versions of Nix print whole paths, some the base names.
  private static func storePath(
    _ text: String,
    _ path: String,
    _ field: String
  ) throws(ClosureError) -> StorePath {
    do throws(StorePathError) {
      return text.hasPrefix("/")
        ? try StorePath(absolutePath: text) : try StorePath(baseName: text)
    } catch {
      throw .invalidField(path: path, field: field, reason: "\(error)")
    }
  }
}
