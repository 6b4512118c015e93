extension Node {
  /// The canonical encoding of the node without a name: a protobuf message `Node` (`Entry` in newer
  /// protocol files).
  public func encoded() -> [UInt8] {
    encoded(name: [])
  }

  /// Reads a node without a name, and refuses bytes that are not the canonical encoding of one.
  public init(canonicalEncoding bytes: RawSpan) throws(DirectoryError) {
    let (name, node) = try Self.decode(bytes)
    if !name.isEmpty { throw .nameInAnonymousNode(name) }
    self = node
  }

  /// Reads a node without a name, and refuses bytes that are not the canonical encoding of one.
  public init(canonicalEncoding bytes: [UInt8]) throws(DirectoryError) {
    try self.init(canonicalEncoding: bytes.span.bytes)
  }

  /// Reads a node without a name, and refuses bytes that are not the canonical encoding of one.
  public init(canonicalEncoding bytes: UnsafeRawBufferPointer) throws(DirectoryError) {
    try self.init(canonicalEncoding: bytes.bytes)
  }

  /// The canonical encoding of the node under a name, which may be empty.
  package func encoded(name: [UInt8]) -> [UInt8] {
    var writer = WireWriter()
    writer.reserve(WireWriter.byteCount(of: self, name: name))
    writer.append(self, name: name)
    return writer.bytes
  }

  /// Reads a node and its name, which is not checked: path infos have rules of their own for names.
  package static func decode(
    _ bytes: RawSpan
  ) throws(DirectoryError) -> (name: [UInt8], node: Node) {
    if bytes.isEmpty { throw .noNodeSet }
    var cursor = WireCursor(bytes)
    let entry: WireEntry
    do throws(WireError) {
      entry = try WireEntry(&cursor)
      if !cursor.isAtEnd {
        // A second node, of the same kind or another, or something that is none.
        let start = cursor.offset
        let second = try WireEntry(&cursor)
        throw WireError(.repeatedField(UInt64(second.kind.rawValue)), at: start)
      }
    } catch {
      throw .malformed(error)
    }
    let name = bytes.extracting(entry.name).array
    if let flaw = entry.flaw(in: bytes) { throw .invalidNode(name: name, flaw) }
    return (name, entry.node(in: bytes))
  }
}

extension NamedNode {
  /// The canonical encoding of the node with its name: a protobuf message `Node`.
  public func encoded() -> [UInt8] {
    node.encoded(name: name.bytes)
  }

  /// Reads a node with its name, and refuses bytes that are not the canonical encoding of one.
  public init(canonicalEncoding bytes: RawSpan) throws(DirectoryError) {
    let (name, node) = try Node.decode(bytes)
    do throws(PathComponentError) {
      self.init(name: try PathComponent(name), node: node)
    } catch {
      throw .invalidName(error)
    }
  }

  /// Reads a node with its name, and refuses bytes that are not the canonical encoding of one.
  public init(canonicalEncoding bytes: [UInt8]) throws(DirectoryError) {
    try self.init(canonicalEncoding: bytes.span.bytes)
  }
}
