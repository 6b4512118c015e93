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
    var contentAddress: Address?
    var storeFolder: String?
    var isNull = false
    // Whether the form is one that states no hashes.
    var isUnhashed = false
  }

  /// A content address as it stands there.
  enum Address {
    case text(String)
    case structured(method: String, hash: String)
  }

  private var cursor: JSONCursor

  @_lifetime(copy text)
  init(_ text: Span<UInt8>) {
    cursor = JSONCursor(text)
  }

  /// Reads the lists of the document: one, or each of the graphs in a derivation's attributes.
  @_lifetime(self: copy self)
  mutating func run() throws(NARListingError) -> [[Fields]] {
    let lists = try document()
    if cursor.peek() != nil {
      throw .unexpected("there is something after the end", offset: cursor.offset)
    }
    return lists
  }

  @_lifetime(self: copy self)
  private mutating func document() throws(NARListingError) -> [[Fields]] {
    if cursor.peek() == UInt8(ascii: "[") { return [try list()] }
    let start = cursor.offset
    try cursor.require("{")
    if cursor.take("}") { return [] }
    var byPath: [Fields] = []
    var graphs: [[Fields]] = []
    var version: UInt64?
    var storeFolder: String?
    var info: Int?
    repeat {
      let key = try cursor.string()
      try cursor.require(":")
      switch (key, cursor.peek()) {
      case (_, UInt8(ascii: "{")), (_, UInt8(ascii: "n")):
        if key.hasPrefix("/") {
          byPath.append(try fields(of: key))
        } else {
          // What it is depends on the version, which may come later.
          if key == "info" { info = cursor.offset }
          try cursor.skipValue()
        }
      case (_, UInt8(ascii: "[")):
        // A reference graph, or some other attribute of a derivation.
        if isGraph() { graphs.append(try list()) } else { try cursor.skipValue() }
      case ("version", .some(UInt8(ascii: "0")...UInt8(ascii: "9"))): version = try cursor.number()
      case ("storeDir", UInt8(ascii: "\"")): storeFolder = try cursor.string()
      default: try cursor.skipValue()
      }
    } while cursor.take(",")
    try cursor.require("}")
    if let version, byPath.isEmpty, graphs.isEmpty {
      guard version == 2, let info else {
        throw .unexpected("version \(version) of the format is not known", offset: start)
      }
      let end = cursor.offset
      cursor.move(to: info)
      graphs.append(try members(in: storeFolder))
      cursor.move(to: end)
    }
    if !byPath.isEmpty { graphs.append(byPath) }
    if graphs.isEmpty {
      throw .unexpected("nothing in this object describes store paths", offset: start)
    }
    return graphs
  }

  /// Whether a list comes next whose first element describes a store path.
  @_lifetime(self: copy self)
  private mutating func isGraph() -> Bool {
    let start = cursor.offset
    let keys = firstKeys()
    cursor.move(to: start)
    return keys.isSuperset(of: ["path", "narHash"])
  }

  /// The keys of the object that a list begins with, as far as they can be read.
  @_lifetime(self: copy self)
  private mutating func firstKeys() -> Set<String> {
    guard cursor.take("["), cursor.take("{") else { return [] }
    var keys: Set<String> = []
    do throws(NARListingError) {
      repeat {
        keys.insert(try cursor.string())
        try cursor.require(":")
        try cursor.skipValue()
      } while cursor.take(",")
    } catch {
      // Whoever reads the list says what is wrong.
    }
    return keys
  }

  /// Reads an object from paths or their base names to what is known of them.
  @_lifetime(self: copy self)
  private mutating func members(in storeFolder: String?) throws(NARListingError) -> [Fields] {
    try cursor.require("{")
    var entries: [Fields] = []
    if cursor.take("}") { return entries }
    repeat {
      let key = try cursor.string()
      try cursor.require(":")
      var entry = try fields(of: key)
      if entry.storeFolder == nil { entry.storeFolder = storeFolder }
      entries.append(entry)
    } while cursor.take(",")
    try cursor.require("}")
    return entries
  }

  @_lifetime(self: copy self)
  private mutating func fields(of key: String) throws(NARListingError) -> Fields {
    var entry = try fields()
    if entry.path == nil { entry.path = key }
    return entry
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
      case "narHash": fields.narHash = try hash()
      case "narSize": fields.narSize = try cursor.number()
      case "references": fields.references = try strings()
      case "deriver": fields.deriver = try stringOrNull()
      case "signatures": fields.signatures = try signatures()
      case "ca": fields.contentAddress = try address()
      case "storeDir": fields.storeFolder = try cursor.string()
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

  /// A hash as a text, or as an object of its parts.
  @_lifetime(self: copy self)
  private mutating func hash() throws(NARListingError) -> String {
    guard cursor.peek() == UInt8(ascii: "{") else { return try cursor.string() }
    let start = cursor.offset
    let parts = try texts()
    guard let algorithm = parts["algorithm"], let digest = parts["hash"] else {
      throw .unexpected("expected a hash with its algorithm", offset: start)
    }
    // The digest's length tells its encoding.
    return "\(algorithm):\(digest)"
  }

  @_lifetime(self: copy self)
  private mutating func address() throws(NARListingError) -> Address? {
    if try takeNull() { return nil }
    guard cursor.peek() == UInt8(ascii: "{") else { return .text(try cursor.string()) }
    let start = cursor.offset
    var (method, digest): (String?, String?)
    try cursor.require("{")
    if !cursor.take("}") {
      repeat {
        let key = try cursor.string()
        try cursor.require(":")
        switch key {
        case "method": method = try cursor.string()
        case "hash": digest = try hash()
        default: try cursor.skipValue()
        }
      } while cursor.take(",")
      try cursor.require("}")
    }
    guard let method, let digest else {
      throw .unexpected("expected a content address with its method and hash", offset: start)
    }
    return .structured(method: method, hash: digest)
  }

  /// Signatures as texts, or as objects of a key's name and the signature.
  @_lifetime(self: copy self)
  private mutating func signatures() throws(NARListingError) -> [String] {
    try cursor.require("[")
    var signatures: [String] = []
    if cursor.take("]") { return signatures }
    repeat {
      guard cursor.peek() == UInt8(ascii: "{") else {
        signatures.append(try cursor.string())
        continue
      }
      let start = cursor.offset
      let parts = try texts()
      guard let name = parts["keyName"], let bytes = parts["sig"] else {
        throw .unexpected("expected a signature with its keyName", offset: start)
      }
      signatures.append("\(name):\(bytes)")
    } while cursor.take(",")
    try cursor.require("]")
    return signatures
  }

  /// An object's members that are texts.
  @_lifetime(self: copy self)
  private mutating func texts() throws(NARListingError) -> [String: String] {
    try cursor.require("{")
    var texts: [String: String] = [:]
    if cursor.take("}") { return texts }
    repeat {
      let key = try cursor.string()
      try cursor.require(":")
      if cursor.peek() == UInt8(ascii: "\"") {
        texts[key] = try cursor.string()
      } else {
        try cursor.skipValue()
      }
    } while cursor.take(",")
    try cursor.require("}")
    return texts
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
