extension NARListing {
  /// Parses the JSON of a `.ls` file.
  ///
  /// Keys may come in any order, and keys that are not known are skipped; entries must come in
  /// the order of the NAR, as every known writer has them.
  public init(
    json text: String,
    maximumDepth: Int = NARLimits.defaultMaximumDepth
  ) throws(NARListingError) {
    try self.init(json: text.utf8Span.span, maximumDepth)
  }

  /// Parses the JSON of a `.ls` file.
  public init(
    json bytes: [UInt8],
    maximumDepth: Int = NARLimits.defaultMaximumDepth
  ) throws(NARListingError) {
    try self.init(json: bytes.span, maximumDepth)
  }

  private init(json text: Span<UInt8>, _ maximumDepth: Int) throws(NARListingError) {
    self.init(maximumDepth: maximumDepth)
    var cursor = JSONCursor(text)
    var version: UInt64?
    var hasRoot = false
    try cursor.require("{")
    var isFirst = true
    while try Self.nextKey(&cursor, isFirst: isFirst), case let key = try Self.key(&cursor) {
      isFirst = false
      switch key {
      case "version" where version == nil: version = try cursor.number()
      case "root" where !hasRoot:
        try parseRoot(&cursor)
        hasRoot = true
      case "version", "root": throw .unexpected("the key \(key) again", offset: cursor.offset)
      default: try cursor.skipValue()
      }
    }
    guard cursor.peek() == nil else { throw .invalidJSON(offset: cursor.offset) }
    guard let version else { throw .unexpected("no version", offset: cursor.offset) }
    guard version == 1 else { throw .unsupportedVersion(version) }
    guard hasRoot else { throw .unexpected("no root", offset: cursor.offset) }
  }

  /// Parses a node with all below it; the open objects are data, not stack.
  private mutating func parseRoot(_ cursor: inout JSONCursor) throws(NARListingError) {
    // The nodes that are open, of which all but the last are directories among whose entries the
    // next one is.
    var nodes: [NodeFields] = []
    try cursor.require("{")
    nodes.append(NodeFields())
    while var node = nodes.popLast() {
      if node.isInEntries {
        guard try Self.nextKey(&cursor, isFirst: node.isAtFirstEntry) else {
          try append(.directoryEnd)
          node.isInEntries = false
          nodes.append(node)
          continue
        }
        node.isAtFirstEntry = false
        let name = try Self.key(&cursor)
        try append(.entry(name: Array(name.utf8)))
        try cursor.require("{")
        nodes += [node, NodeFields()]
      } else if try Self.nextKey(&cursor, isFirst: node.isAtFirstKey) {
        node.isAtFirstKey = false
        let key = try Self.key(&cursor)
        if try node.take(key, &cursor) { try append(.directoryStart) }
        nodes.append(node)
      } else if let (event, narOffset) = try node.event(before: cursor.offset) {
        try append(event, narOffset: narOffset)
      }
    }
  }

  /// Whether another member follows in an object, past the comma; otherwise past its end.
  private static func nextKey(
    _ cursor: inout JSONCursor,
    isFirst: Bool
  ) throws(NARListingError) -> Bool {
    if cursor.take("}") { return false }
    if !isFirst { try cursor.require(",") }
    return true
  }

  private static func key(_ cursor: inout JSONCursor) throws(NARListingError) -> String {
    let key = try cursor.string()
    try cursor.require(":")
    return key
  }
}

/// The members of a node as they come: the type need not be the first.
private struct NodeFields {
  var isAtFirstKey = true
  var isInEntries = false
  var isAtFirstEntry = true
  private var seen: Set<String> = []
  private var type: String?
  private var size: UInt64?
  private var isExecutable = false
  private var narOffset: UInt64?
  private var target: String?

  /// Takes a member's value.
  ///
  /// - Returns: Whether it is that of the entries, whose object was opened.
  mutating func take(
    _ key: String,
    _ cursor: inout JSONCursor
  ) throws(NARListingError) -> Bool {
    guard seen.insert(key).inserted else {
      throw .unexpected("the key \(quoted(key.utf8)) again", offset: cursor.offset)
    }
    switch key {
    case "type": type = try cursor.string()
    case "size": size = try cursor.number()
    case "executable": isExecutable = try cursor.boolean()
    case "narOffset": narOffset = try cursor.number()
    case "target": target = try cursor.string()
    case "entries":
      try cursor.require("{")
      isInEntries = true
      return true
    default: try cursor.skipValue()
    }
    return false
  }

  /// What the node is, now that all of it was read; `nil` for a directory, which was told already.
  func event(before offset: Int) throws(NARListingError) -> (NAREvent, UInt64?)? {
    let hasEntries = seen.contains("entries")
    switch (type, hasEntries, size, target) {
    case ("directory", true, nil, nil): return nil
    case ("regular", false, let size?, nil):
      return (.file(size: size, isExecutable: isExecutable), narOffset)
    case ("symlink", false, nil, let target?): return (.symlink(target: Array(target.utf8)), nil)
    default: throw .unexpected("a node whose members do not fit a type", offset: offset)
    }
  }
}
