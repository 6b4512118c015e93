extension DirectoryService {
  /// Fetches one by one, with `get`.
  public func getRecursive(_ root: B3Digest) -> AsyncThrowingStream<Directory, any Error> {
    traverse(root)
  }

  /// Fetches a directory and all below it with one `get` each, as the stream is read: breadth first,
  /// each digest once. Empty where the root is missing; a missing child is an error.
  public func traverse(_ root: B3Digest) -> AsyncThrowingStream<Directory, any Error> {
    let traversal = DirectoryTraversal(of: root, in: self)
    return AsyncThrowingStream { try await traversal.next() }
  }

  /// Finds what a path below a node stands for.
  ///
  /// - Returns: `nil` where there is no such name, or a file or link where a directory would have to be.
  /// - Throws: Also where a directory on the way, which must be there, is not.
  public func descend(
    from node: Node,
    to path: CastorePath
  ) async throws(ServiceError) -> Node? {
    var node = node
    for name in path.components {
      guard case .directory(let digest, _) = node else { return nil }
      guard let directory = try await get(digest) else { throw .directoryNotFound(digest) }
      guard let child = directory.node(named: name) else { return nil }
      node = child
    }
    return node
  }
}

extension LocalDirectoryAccess {
  /// Indexes what `directoryLocal(_:)` returns.
  public func directoryIndexLocal(
    _ digest: B3Digest
  ) throws(ServiceError) -> DirectoryIndex? {
    try directoryLocal(digest).map { DirectoryIndex($0) }
  }

  /// Finds what a path below a node stands for.
  ///
  /// - Returns: `nil` where there is no such name, or a file or link where a directory would have to be.
  /// - Throws: Also where a directory on the way, which must be there, is not.
  public func descendLocal(
    from node: Node,
    to path: CastorePath
  ) throws(ServiceError) -> Node? {
    var node = node
    for name in path.components {
      guard case .directory(let digest, _) = node else { return nil }
      guard let directory = try directoryIndexLocal(digest) else {
        throw .directoryNotFound(digest)
      }
      guard let child = directory.node(named: name) else { return nil }
      node = child
    }
    return node
  }
}

/// Walks a closure breadth first.
private actor DirectoryTraversal<Service: DirectoryService> {
  private let service: Service
  private let root: B3Digest
  private var seen: Set<B3Digest>
  private var queue: [B3Digest]
  private var next = 0

  init(of root: B3Digest, in service: Service) {
    self.service = service
    self.root = root
    seen = [root]
    queue = [root]
  }

  func next() async throws(ServiceError) -> Directory? {
    guard next < queue.count else { return nil }
    let digest = queue[next]
    next += 1
    if next > 1024 && next * 2 > queue.count {
      queue.removeFirst(next)
      next = 0
    }
    guard let directory = try await service.get(digest) else {
      if digest == root { return nil }
      throw .directoryNotFound(digest)
    }
    for entry in directory.entries {
      if case .directory(let child, _) = entry.node, seen.insert(child).inserted {
        queue.append(child)
      }
    }
    return directory
  }
}
