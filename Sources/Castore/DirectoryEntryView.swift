/// One entry of a `DirectoryIndex`, lent for as long as the index is.
public struct DirectoryEntryView: ~Escapable {
  private let bytes: RawSpan
  private let entry: WireEntry
  // How many bytes of the encoding the entry takes.
  let byteCount: Int

  // The bytes begin with an entry that was checked when the index was made.
  @_lifetime(copy bytes)
  init(_ bytes: RawSpan) {
    self.bytes = bytes
    var cursor = WireCursor(bytes)
    do throws(WireError) {
      entry = try WireEntry(&cursor)
      byteCount = cursor.offset
    } catch {
      preconditionFailure("an index only points at entries that were checked: \(error)")
    }
  }

  /// What the name stands for.
  public var kind: NodeKind { entry.kind }

  /// The name's bytes.
  public var name: RawSpan {
    @_lifetime(copy self) get { bytes.extracting(entry.name) }
  }

  /// The digest of a directory or file; `nil` for a symbolic link.
  public var digest: B3Digest? {
    if entry.kind == .symlink { return nil }
    return entry.digest(in: bytes)
  }

  /// The stated size of a directory, the length of a file, or the length of a link's target.
  public var size: UInt64 {
    entry.kind == .symlink ? UInt64(entry.payload.count) : entry.size
  }

  /// Whether it is a file whose owner may execute it.
  public var isExecutable: Bool { entry.isExecutable }

  /// The bytes of a symbolic link's target; empty for other kinds.
  public var target: RawSpan {
    @_lifetime(copy self) get {
      let isLink = entry.kind == .symlink
      let end = entry.payload.upperBound
      return bytes.extracting(isLink ? entry.payload : end..<end)
    }
  }

  /// The entry as a value that may be kept. Allocates for a symbolic link's target only.
  public var node: Node { entry.node(in: bytes) }

  /// The name and the node as a value that may be kept. Allocates for the name.
  public var namedNode: NamedNode {
    NamedNode(name: name.withUnsafeBytes { PathComponent(checked: $0) }, node: node)
  }
}
