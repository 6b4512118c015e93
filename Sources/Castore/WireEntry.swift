/// The three kinds of nodes; the numbers are those of the fields of `Directory` and `Node` messages.
public enum NodeKind: UInt8, Hashable, Sendable {
  /// A directory.
  case directory = 1
  /// A regular file.
  case file = 2
  /// A symbolic link.
  case symlink = 3
}

/// One named or anonymous node as it lies in a message: values, and places of byte strings.
struct WireEntry {
  let kind: NodeKind
  /// Where the node's field starts, its tag included.
  let start: Int
  /// Where the name lies; empty for an anonymous node.
  var name: Range<Int>
  /// Where the digest or the link target lies.
  var payload: Range<Int>
  var size: UInt64 = 0
  var isExecutable = false

  /// Reads the next entry: its tag, its length, its fields.
  ///
  /// Checks the form only: the rules for names, digests and targets are the caller's.
  @inline(__always)
  init(_ cursor: inout WireCursor) throws(WireError) {
    start = cursor.offset
    let (field, type) = try cursor.tag()
    guard type == WireCursor.delimited, let number = UInt8(exactly: field),
      let kind = NodeKind(rawValue: number)
    else { throw WireError(.unknownField(field), at: start) }
    self.kind = kind

    let body = try cursor.lengthDelimited()
    name = body.lowerBound..<body.lowerBound
    payload = name
    var fields = WireCursor(cursor.bytes, body)
    var last: UInt64 = 0
    while !fields.isAtEnd {
      let offset = fields.offset
      let (field, type) = try fields.tag()
      if field == last && last != 0 { throw WireError(.repeatedField(field), at: offset) }
      let isDefault: Bool
      switch (field, type) {
      case (1, WireCursor.delimited):
        name = try fields.lengthDelimited()
        isDefault = name.isEmpty
      case (2, WireCursor.delimited):
        payload = try fields.lengthDelimited()
        isDefault = payload.isEmpty
      case (3, WireCursor.varint) where kind != .symlink:
        size = try fields.number()
        isDefault = size == 0
      case (4, WireCursor.varint) where kind == .file:
        let value = try fields.number()
        if value > 1 { throw WireError(.invalidBool, at: offset) }
        isExecutable = value == 1
        isDefault = value == 0
      default:
        throw WireError(.unknownField(field), at: offset)
      }
      if field < last { throw WireError(.fieldOutOfOrder(field), at: offset) }
      if isDefault { throw WireError(.explicitDefault(field), at: offset) }
      last = field
    }
  }

  /// What is wrong with the node's digest or target.
  @inline(__always)
  func flaw(in bytes: RawSpan) -> NodeError? {
    if kind != .symlink {
      return payload.count == B3Digest.byteCount ? nil : .invalidDigestLength(payload.count)
    }
    return bytes.extracting(payload).withUnsafeBytes { target in
      guard let reason = SymlinkTarget.flaw(in: target) else { return nil }
      return .invalidSymlinkTarget(SymlinkTargetError(reason, target))
    }
  }

  /// The node, which `flaw(in:)` found nothing wrong with.
  func node(in bytes: RawSpan) -> Node {
    switch kind {
    case .directory: .directory(digest: digest(in: bytes), size: size)
    case .file: .file(digest: digest(in: bytes), size: size, isExecutable: isExecutable)
    case .symlink:
      .symlink(
        target: bytes.extracting(payload).withUnsafeBytes { SymlinkTarget(checked: $0) }
      )
    }
  }

  /// The digest of a directory or file that `flaw(in:)` found nothing wrong with.
  func digest(in bytes: RawSpan) -> B3Digest {
    // Any 32 bytes are a digest; the load checks that they lie within the span.
    bytes.unsafeLoadUnaligned(fromByteOffset: payload.lowerBound, as: B3Digest.self)
  }
}
