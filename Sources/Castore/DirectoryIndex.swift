/// A directory in the form it is stored and sent in, with an index for looking names up.
///
/// Made for holding many directories and answering lookups without allocating: it keeps the
/// canonical encoding and four bytes for each entry, nothing else. Valid like `Directory`: what does
/// not pass the same checks does not become one. Entries are numbered in bytewise order of their
/// names, all kinds mixed.
public struct DirectoryIndex: Sendable {
  /// The canonical encoding, whose BLAKE3 digest names the directory.
  public let encoding: [UInt8]

  /// The number of entries plus the stated sizes of the child directories.
  public let specifiedSize: UInt64

  // Where each entry starts in `encoding`.
  private let offsets: [UInt32]

  /// Reads a directory, and refuses bytes that are not the canonical encoding of a valid one.
  ///
  /// - Complexity: O(n). The array is kept, not copied.
  public init(canonicalEncoding encoding: [UInt8]) throws(DirectoryError) {
    let layout = try DirectoryLayout(reading: encoding.span.bytes)
    self.encoding = encoding
    specifiedSize = layout.specifiedSize
    offsets = layout.offsets
  }

  /// Reads a directory and copies it, and refuses bytes that are not the canonical encoding of one.
  public init(canonicalEncoding encoding: UnsafeRawBufferPointer) throws(DirectoryError) {
    try self.init(canonicalEncoding: [UInt8](encoding))
  }

  /// Indexes a directory.
  public init(_ directory: Directory) {
    do throws(DirectoryError) {
      try self.init(canonicalEncoding: directory.encoded())
    } catch {
      preconditionFailure("a directory's own encoding is canonical: \(error)")
    }
  }

  /// The number of entries.
  public var count: Int { offsets.count }

  /// Whether there are no entries.
  public var isEmpty: Bool { offsets.isEmpty }

  /// An entry, lent: nothing is copied, and nothing allocated.
  ///
  /// - Parameter position: Its number, below `count`.
  /// - Complexity: O(1).
  @_lifetime(borrow self)
  public func entry(at position: Int) -> DirectoryEntryView {
    let offset = Int(offsets[position])
    return DirectoryEntryView(encoding.span.bytes.extracting(droppingFirst: offset))
  }

  /// The number of the entry with a name.
  ///
  /// - Complexity: O(log n), nothing is allocated. Any bytes may be asked for.
  public func index(ofName name: UnsafeRawBufferPointer) -> Int? {
    encoding.withUnsafeBytes { bytes in
      var (low, high) = (0, offsets.count)
      while low < high {
        let middle = low + (high - low) / 2
        switch ByteOrder(DirectoryLayout.name(at: offsets[middle], in: bytes), name) {
        case .ascending: low = middle + 1
        case .same: return middle
        case .descending: high = middle
        }
      }
      return nil
    }
  }

  /// The number of the entry with a name.
  ///
  /// - Complexity: O(log n), nothing is allocated. Any bytes may be asked for.
  public func index(ofName name: RawSpan) -> Int? {
    name.withUnsafeBytes { index(ofName: $0) }
  }

  /// The number of the entry with a name.
  ///
  /// - Complexity: O(log n), nothing is allocated.
  public func index(of name: PathComponent) -> Int? {
    index(ofName: name.bytes.span.bytes)
  }

  /// What a name stands for.
  ///
  /// - Complexity: O(log n); allocates for a symbolic link's target only.
  public func node(named name: PathComponent) -> Node? {
    index(of: name).map { entry(at: $0).node }
  }

  /// The digest of the canonical encoding.
  ///
  /// - Complexity: O(n): hashes on every call.
  public var digest: B3Digest { B3Digest(hashing: encoding) }
}

extension Directory {
  /// Reads the entries out of an index.
  public init(_ index: DirectoryIndex) {
    var entries: [NamedNode] = []
    entries.reserveCapacity(index.count)
    for position in 0..<index.count { entries.append(index.entry(at: position).namedNode) }
    self.init(checkedEntries: entries, specifiedSize: index.specifiedSize)
  }
}
