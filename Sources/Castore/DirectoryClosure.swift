/// A directory and all below it, checked by a `DirectoryGraph`.
public struct DirectoryClosure: Sendable {
  /// One of the directories.
  public struct Member: Sendable {
    /// The digest of the encoding.
    public let digest: B3Digest
    /// The canonical encoding.
    public let encoding: [UInt8]

    /// The directory itself.
    public var directory: Directory {
      do throws(DirectoryError) {
        return try Directory(canonicalEncoding: encoding)
      } catch {
        preconditionFailure("a closure only holds what a valid directory was encoded to: \(error)")
      }
    }
  }

  struct Child {
    let name: PathComponent
    let digest: B3Digest
    let size: UInt64
  }

  /// The digest of the root.
  public let root: B3Digest
  private let encodings: [Member]
  private let positions: [B3Digest: Int]

  init(root: B3Digest, encodings: [Member], positions: [B3Digest: Int]) {
    self.root = root
    self.encodings = encodings
    self.positions = positions
  }

  /// How many different directories there are.
  public var count: Int { encodings.count }

  /// All directories, each after all that it refers to: the order to store them in.
  public func leavesToRoot() -> [Member] {
    var order: [Member] = []
    order.reserveCapacity(count)
    var visited = [Bool](repeating: false, count: count)
    // Depth first without recursion: hostile trees are deep.
    var open: [(position: Int, children: [Int], next: Int)] = []
    if let position = positions[root] {
      visited[position] = true
      open.append((position, children(of: position), 0))
    }
    while let (position, children, next) = open.last {
      if next == children.count {
        order.append(encodings[position])
        open.removeLast()
        continue
      }
      open[open.count - 1].next += 1
      let child = children[next]
      if visited[child] { continue }
      visited[child] = true
      open.append((child, self.children(of: child), 0))
    }
    return order
  }

  /// All directories, the root first, breadth first: the order to send them in.
  public func rootToLeaves() -> [Member] {
    var visited = [Bool](repeating: false, count: count)
    var queue: [Int] = []
    queue.reserveCapacity(count)
    if let position = positions[root] {
      visited[position] = true
      queue.append(position)
    }
    var next = 0
    while next < queue.count {
      for child in children(of: queue[next]) where !visited[child] {
        visited[child] = true
        queue.append(child)
      }
      next += 1
    }
    return queue.map { encodings[$0] }
  }

  private func children(of position: Int) -> [Int] {
    var children: [Int] = []
    Self.forEachChild(of: encodings[position].encoding) { child in
      if let position = positions[child.digest] { children.append(position) }
    }
    return children
  }

  /// Goes through the child directories in the canonical encoding of a valid directory.
  ///
  /// One by one: a hostile directory may have a great many.
  static func forEachChild<Failure: Error>(
    of encoding: [UInt8],
    _ body: (Child) throws(Failure) -> Void
  ) throws(Failure) {
    let bytes = encoding.span.bytes
    var offset = 0
    while offset < bytes.byteCount {
      let entry = DirectoryEntryView(bytes.extracting(droppingFirst: offset))
      // Directories come before everything else.
      guard entry.kind == .directory, let digest = entry.digest else { break }
      let name = entry.name.withUnsafeBytes { PathComponent(checked: $0) }
      try body(Child(name: name, digest: digest, size: entry.size))
      offset += entry.byteCount
    }
  }
}
