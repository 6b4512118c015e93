extension Directory {
  /// The canonical encoding, whose BLAKE3 digest names the directory.
  ///
  /// The protobuf message `Directory`: directories, files, links, each list sorted by name, fields in
  /// order, defaults left out. Empty for an empty directory.
  public func encoded() -> [UInt8] {
    var writer = WireWriter()
    var byteCount = 0
    for entry in entries {
      byteCount += WireWriter.byteCount(of: entry.node, name: entry.name.bytes)
    }
    writer.reserve(byteCount)
    for kind in [NodeKind.directory, .file, .symlink] {
      for entry in entries where entry.node.kind == kind {
        writer.append(entry.node, name: entry.name.bytes)
      }
    }
    return writer.bytes
  }

  /// The digest of the canonical encoding.
  ///
  /// - Complexity: O(n): encodes and hashes on every call.
  public var digest: B3Digest { B3Digest(hashing: encoded()) }

  /// Reads a directory, and refuses bytes that are not the canonical encoding of a valid one.
  ///
  /// - Complexity: O(n); a few allocations, and one for each name and link target.
  public init(canonicalEncoding bytes: RawSpan) throws(DirectoryError) {
    let layout = try DirectoryLayout(reading: bytes)
    var entries: [NamedNode] = []
    entries.reserveCapacity(layout.offsets.count)
    for offset in layout.offsets {
      entries.append(DirectoryEntryView(bytes.extracting(droppingFirst: Int(offset))).namedNode)
    }
    self.init(checkedEntries: entries, specifiedSize: layout.specifiedSize)
  }

  /// Reads a directory, and refuses bytes that are not the canonical encoding of a valid one.
  public init(canonicalEncoding bytes: UnsafeRawBufferPointer) throws(DirectoryError) {
    try self.init(canonicalEncoding: bytes.bytes)
  }

  /// Reads a directory, and refuses bytes that are not the canonical encoding of a valid one.
  public init(canonicalEncoding bytes: [UInt8]) throws(DirectoryError) {
    try self.init(canonicalEncoding: bytes.span.bytes)
  }
}
