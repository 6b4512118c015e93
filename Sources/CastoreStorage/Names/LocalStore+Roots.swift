public import Castore
internal import CastoreNames
internal import Platform

extension LocalStore: LocalRootNodes {
  /// See `LocalRootNodes`. Where `keepShownRoots` was called, what is shown stays for as long as this object.
  public func nodeLocal(named name: PathComponent) throws(ServiceError) -> Node? {
    while true {
      let before = try core.state.read().epoch
      guard let node = try core.names.root(name) else { return nil }
      guard let shown = shownRoots.withLock({ $0 }), let object = node.object else { return node }
      try shown.hold(object)
      // Nothing that the name stood for went between the two readings; after the second, our hold counts.
      if try core.state.read().epoch == before { return node }
    }
  }

  /// Keeps what is shown from now on: what `nodeLocal` and `list` have returned is not collected while
  /// this object lives, also when its name goes. For mounts, whose users have files open.
  ///
  /// Does nothing for a store that is open for reading only: nobody could know.
  public func keepShownRoots() throws(ServiceError) {
    if isReadOnly { return }
    let session = try core.makeSession()
    shownRoots.withLock { if $0 == nil { $0 = ShownRoots(session) } }
  }

  /// See `LocalRootNodes`. Other processes' changes show, too.
  public func rootsVersion() throws(ServiceError) -> UInt64 {
    try core.names.rootsVersion()
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
    while true {
      let before = try core.state.read().epoch
      let roots = try core.names.roots(after: name, limit: limit)
      guard let shown = shownRoots.withLock({ $0 }) else { return roots }
      for root in roots {
        if let object = root.node.object { try shown.hold(object) }
      }
      if try core.state.read().epoch == before { return roots }
    }
  }
}

/// What a mount has shown, so that it stays.
struct ShownRoots: Sendable {
  private let session: Session
  private let held = Guarded<Set<HeldObject>>([])

  init(_ session: Session) {
    self.session = session
  }

  func hold(_ object: HeldObject) throws(ServiceError) {
    if held.withLock({ $0.contains(object) }) { return }
    try session.hold([object])
    held.withLock { _ = $0.insert(object) }
  }
}

extension Node {
  /// What a node names; `nil` for a symbolic link.
  var object: HeldObject? {
    switch self {
    case .directory(let digest, _): HeldObject(digest: digest, kind: .directory)
    case .file(let digest, _, _): HeldObject(digest: digest, kind: .blob)
    case .symlink: nil
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

/// Goes through a listing page by page, so that no view of the names stays open in between.
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
    try requireContent(of: node, named: "\(name)")
    return try core.names.putRoot(name, node, replace: replace)
  }

  /// Removes a name, durably. What it stood for stays in the store until it is collected.
  ///
  /// - Returns: Whether there was one.
  public func removeRoot(_ name: PathComponent) throws(ServiceError) -> Bool {
    try core.names.removeRoot(name) != nil
  }

  /// Makes sure that a node's content is there, and stays until this opening of the store ends.
  func requireContent(of node: Node, named name: String) throws(ServiceError) {
    guard let object = node.object else { return }
    if try core.relyOn(object, for: core.session()) == nil {
      throw ServiceError(
        .notFound,
        "cannot name \(object.digest) as \(name): the store \(path) does not hold it"
      )
    }
  }
}

extension LocalStore: RootRegistry {
  /// See `RootRegistry`. As `setRoot`, on a thread that may block.
  public func putRoot(
    _ name: PathComponent,
    _ node: Node,
    replace: Bool
  ) async throws(ServiceError) -> Node? {
    try await BlockingPool.shared.run { [self] () throws(ServiceError) in
      try setRoot(name, to: node, replace: replace)
    }
  }

  /// See `RootRegistry`. As `removeRoot`, on a thread that may block.
  public func dropRoot(_ name: PathComponent) async throws(ServiceError) -> Bool {
    try await BlockingPool.shared.run { [self] () throws(ServiceError) in try removeRoot(name) }
  }
}
