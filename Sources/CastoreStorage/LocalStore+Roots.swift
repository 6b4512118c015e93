public import Castore
internal import Platform

extension LocalStore: LocalRootNodes {
  /// See `LocalRootNodes`.
  public func nodeLocal(named name: PathComponent) throws(ServiceError) -> Node? {
    try core.index.read { (reader) throws(ServiceError) in
      try self.node(named: name, in: reader)
    }
  }

  /// See `LocalRootNodes`. Counted in the index: other processes' changes show, too.
  public func rootsVersion() throws(ServiceError) -> UInt64 {
    try core.index.read { (reader) throws(ServiceError) in try Self.rootsVersion(in: reader) }
  }

  /// Lists names in bytewise order.
  ///
  /// - Parameters:
  ///   - name: The name after which to go on; `nil` to begin at the front.
  ///   - limit: How many names to return at most; fewer only at the end.
  public func rootsLocal(
    after name: PathComponent?,
    limit: Int
  ) throws(ServiceError) -> [NamedNode] {
    var roots: [NamedNode] = []
    try core.index.read { (reader) throws(ServiceError) in
      try reader.forEach(.roots, after: name?.bytes) { (key, value) throws(ServiceError) in
        if roots.count >= limit { return false }
        roots.append(try self.decodeRoot(key, value))
        return true
      }
    }
    return roots
  }

  /// Reads a name and its node as the index holds them.
  func decodeRoot(
    _ key: UnsafeRawBufferPointer,
    _ value: UnsafeRawBufferPointer
  ) throws(ServiceError) -> NamedNode {
    let name: PathComponent
    do throws(PathComponentError) {
      name = try PathComponent(key)
    } catch {
      throw ServiceError(
        .corrupt,
        "the index of \(path) holds a root whose name is none: \(error)"
      )
    }
    return NamedNode(name: name, node: try decodeNode(value, name))
  }

  private func node(
    named name: PathComponent,
    in reader: borrowing IndexReader
  ) throws(ServiceError) -> Node? {
    try name.bytes.span.bytes.withUnsafeBytes { (key) throws(ServiceError) in
      try reader.withValue(.roots, key) { (value) throws(ServiceError) -> Node? in
        guard let value else { return nil }
        return try self.decodeNode(value, name)
      }
    }
  }

  private func decodeNode(
    _ bytes: UnsafeRawBufferPointer,
    _ name: PathComponent
  ) throws(ServiceError) -> Node {
    do throws(DirectoryError) {
      return try Node(canonicalEncoding: bytes)
    } catch {
      throw ServiceError(
        .corrupt,
        "the index of \(path) holds no valid node for the root \(name)",
        cause: error
      )
    }
  }
}

extension LocalStore: RootNodes {
  /// See `RootNodes`.
  public func node(named name: PathComponent) async throws(ServiceError) -> Node? {
    try nodeLocal(named: name)
  }

  /// Streams all names in bytewise order, a few hundred at a time; what changes meanwhile may or may not
  /// be seen.
  public func list() -> AsyncThrowingStream<NamedNode, any Error> {
    let pages = Guarded(RootPages())
    return AsyncThrowingStream {
      if let root = pages.withLock({ $0.next() }) { return root }
      guard let place = pages.withLock({ $0.place }) else { return nil }
      let page = try self.rootsLocal(after: place.last, limit: RootPages.size)
      return pages.withLock { pages in
        pages.load(page)
        return pages.next()
      }
    }
  }
}

/// Goes through a listing page by page, so that no view of the index stays open in between.
private struct RootPages {
  static let size = 256

  /// Where the next page begins; `nil` where there is none.
  private(set) var place: (last: PathComponent?, Void)? = (nil, ())
  private var page: ArraySlice<NamedNode> = []

  mutating func next() -> NamedNode? {
    page.popFirst()
  }

  mutating func load(_ roots: [NamedNode]) {
    page = roots[...]
    place = roots.count < Self.size ? nil : (roots.last?.name, ())
  }
}

extension LocalStore {
  /// Names a tree, durably.
  ///
  /// What the node refers to must be in the store and durable: import it and flush first.
  ///
  /// - Parameter replace: Whether a name that stands for something else is re-pointed. Otherwise that
  ///   is an error; a name that stands for the same node is none.
  /// - Returns: What the name stood for before.
  /// - Throws: `.invalidArgument` for a name that is kept, `.notFound` where the node's content is missing.
  @discardableResult
  public func setRoot(
    _ name: PathComponent,
    to node: Node,
    replace: Bool = false
  ) throws(ServiceError) -> Node? {
    let encoding = node.encoded()
    return try core.index.write { (writer) throws(ServiceError) in
      let old = try self.node(named: name, in: writer.reader)
      if old == node { return old }
      if let old, !replace {
        throw .rootIsTaken(name, by: old)
      }
      try self.requireContent(of: node, named: name, in: writer.reader)
      try name.bytes.span.bytes.withUnsafeBytes { (key) throws(ServiceError) in
        try encoding.span.bytes.withUnsafeBytes { (value) throws(ServiceError) in
          try writer.set(.roots, key, value)
        }
      }
      try Self.countRootChange(in: writer)
      return old
    }
  }

  /// Removes a name, durably. What it stood for stays in the store.
  ///
  /// - Returns: Whether there was one.
  public func removeRoot(_ name: PathComponent) throws(ServiceError) -> Bool {
    try core.index.write { (writer) throws(ServiceError) in
      let wasThere = try name.bytes.span.bytes.withUnsafeBytes { (key) throws(ServiceError) in
        try writer.remove(.roots, key)
      }
      if wasThere { try Self.countRootChange(in: writer) }
      return wasThere
    }
  }

  private static let versionKey = [UInt8]("roots-version".utf8)

  private static func rootsVersion(
    in reader: borrowing IndexReader
  ) throws(ServiceError) -> UInt64 {
    try versionKey.span.bytes.withUnsafeBytes { (key) throws(ServiceError) in
      try reader.withValue(.facts, key) { (value) throws(ServiceError) in
        guard let value, value.count == 8 else { return 0 }
        return UInt64(littleEndian: value.loadUnaligned(as: UInt64.self))
      }
    }
  }

  private static func countRootChange(in writer: borrowing IndexWriter) throws(ServiceError) {
    let version = try rootsVersion(in: writer.reader) &+ 1
    try versionKey.span.bytes.withUnsafeBytes { (key) throws(ServiceError) in
      try withUnsafeBytes(of: version.littleEndian) { (value) throws(ServiceError) in
        try writer.set(.facts, key, value)
      }
    }
  }

  private func requireContent(
    of node: Node,
    named name: PathComponent,
    in reader: borrowing IndexReader
  ) throws(ServiceError) {
    let (table, digest): (IndexTable, B3Digest)
    switch node {
    case .directory(let directory, _): (table, digest) = (.directories, directory)
    case .file(let blob, _, _): (table, digest) = (.blobs, blob)
    case .symlink: return
    }
    let isThere = try digest.withUnsafeBytes { (key) throws(ServiceError) in
      try reader.contains(table, key)
    }
    if !isThere {
      throw ServiceError(
        .notFound,
        "cannot name \(digest) as \(name): the store \(path) does not hold it"
      )
    }
  }
}
