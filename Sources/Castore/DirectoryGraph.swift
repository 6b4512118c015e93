/// Checks that directories coming in one by one are one closure: a root, everything below it, each
/// stated size right.
///
/// Leaves first is the order of uploads, root first that of downloads. Repeated directories are
/// ignored. Holds the canonical encodings, up to a limit.
public struct DirectoryGraph: Sendable {
  /// In which order the directories come.
  public enum Order: Hashable, Sendable {
    /// Every directory after all that it refers to.
    case leavesToRoot
    /// Every directory after one that refers to it. The first must be the one of the given digest;
    /// without one, any may come first.
    case rootToLeaves(expecting: B3Digest?)
  }

  /// How much a graph may hold, lest the other side fills the memory.
  public struct Limits: Hashable, Sendable {
    /// How many directories, those that are still expected included.
    public var directoryCount: Int
    /// How many bytes of encodings.
    public var byteCount: Int

    /// Sets limits; by default four million directories and 1 GiB.
    public init(directoryCount: Int = 1 << 22, byteCount: Int = 1 << 30) {
      self.directoryCount = directoryCount
      self.byteCount = byteCount
    }
  }

  private struct Member {
    let digest: B3Digest
    let encoding: [UInt8]
    let sizes: DirectorySizes
    var isReferenced: Bool
  }

  // What is known of a directory that has not come yet: how it was first called, and the different
  // sizes stated for it. The two rules allow two; a third one means that one of them is wrong,
  // which shows when the directory comes.
  private struct Expectation {
    let name: PathComponent
    var sizes: [UInt64]
  }

  private let order: Order
  private let limits: Limits
  private var members: [Member] = []
  private var positions: [B3Digest: Int] = [:]
  private var expected: [B3Digest: Expectation] = [:]
  private var byteCount = 0
  private var rootCount = 0

  /// An empty graph.
  public init(_ order: Order, limits: Limits = Limits()) {
    self.order = order
    self.limits = limits
  }

  /// Adds a directory.
  ///
  /// - Returns: Its digest.
  /// - Throws: What keeps it from being part of the closure; the graph is then of no further use.
  @discardableResult
  public mutating func add(_ directory: Directory) throws(DirectoryGraphError) -> B3Digest {
    try add(directory.encoded(), directory.sizes)
  }

  /// Adds a directory.
  ///
  /// - Returns: Its digest.
  /// - Throws: What keeps it from being part of the closure; the graph is then of no further use.
  @discardableResult
  public mutating func add(_ directory: DirectoryIndex) throws(DirectoryGraphError) -> B3Digest {
    let sizes = DirectorySizes(specified: directory.specifiedSize, entryCount: directory.count)
    return try add(directory.encoding, sizes)
  }

  private mutating func add(
    _ encoding: [UInt8],
    _ sizes: DirectorySizes
  ) throws(DirectoryGraphError) -> B3Digest {
    let digest = B3Digest(hashing: encoding)
    if positions[digest] != nil { return digest }
    // The sum cannot overflow: both arrays are in memory.
    byteCount += encoding.count
    if byteCount > limits.byteCount { throw .tooLarge }

    var isReferenced = false
    switch order {
    case .leavesToRoot:
      try DirectoryClosure.forEachChild(of: encoding) { (child) throws(DirectoryGraphError) in
        try refer(toKnown: child)
      }
    case .rootToLeaves(let root):
      if members.isEmpty {
        if let root, root != digest { throw .unexpectedDirectory(digest) }
      } else {
        guard let expectation = expected.removeValue(forKey: digest) else {
          throw .unexpectedDirectory(digest)
        }
        isReferenced = true
        for size in expectation.sizes where !sizes.accept(size) {
          throw .wrongSize(
            name: expectation.name,
            specified: size,
            recorded: sizes.specified
          )
        }
      }
      try DirectoryClosure.forEachChild(of: encoding) { (child) throws(DirectoryGraphError) in
        try expect(child)
      }
    }

    positions[digest] = members.count
    members.append(
      Member(digest: digest, encoding: encoding, sizes: sizes, isReferenced: isReferenced)
    )
    if !isReferenced { rootCount += 1 }
    try checkCount()
    return digest
  }

  private mutating func refer(
    toKnown child: DirectoryClosure.Child
  ) throws(DirectoryGraphError) {
    guard let position = positions[child.digest] else {
      throw .unknownReference(name: child.name, digest: child.digest)
    }
    try checkSize(of: child, members[position].sizes)
    if !members[position].isReferenced {
      members[position].isReferenced = true
      rootCount -= 1
    }
  }

  private mutating func expect(_ child: DirectoryClosure.Child) throws(DirectoryGraphError) {
    if let position = positions[child.digest] {
      try checkSize(of: child, members[position].sizes)
    } else if let expectation = expected[child.digest] {
      if expectation.sizes.count < 3 && !expectation.sizes.contains(child.size) {
        expected[child.digest]?.sizes.append(child.size)
      }
    } else {
      expected[child.digest] = Expectation(name: child.name, sizes: [child.size])
      try checkCount()
    }
  }

  private func checkCount() throws(DirectoryGraphError) {
    if members.count + expected.count > limits.directoryCount { throw .tooLarge }
  }

  private func checkSize(
    of child: DirectoryClosure.Child,
    _ sizes: DirectorySizes
  ) throws(DirectoryGraphError) {
    if sizes.accept(child.size) { return }
    throw .wrongSize(name: child.name, specified: child.size, recorded: sizes.specified)
  }

  /// Ends the graph: there is one root, and nothing is missing.
  public consuming func validate() throws(DirectoryGraphError) -> DirectoryClosure {
    if members.isEmpty { throw .empty }
    if let (missing, _) = expected.min(by: { $0.key < $1.key }) {
      throw .incomplete(missing: missing, count: expected.count)
    }
    let roots = members.lazy.filter { !$0.isReferenced }.map(\.digest)
    guard rootCount == 1, let root = roots.first else {
      throw .noSingleRoot([B3Digest](roots))
    }
    return DirectoryClosure(
      root: root,
      encodings: members.map { DirectoryClosure.Member(digest: $0.digest, encoding: $0.encoding) },
      positions: positions
    )
  }
}
