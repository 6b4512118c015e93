internal import Platform

/// Directories held in memory; for tests and small temporary stores.
public final class MemoryDirectoryService: DirectoryService {
  private let directories = Guarded<[B3Digest: DirectoryIndex]>([:])

  /// An empty store.
  public init() {}

  /// Fetches a directory.
  public func get(_ digest: B3Digest) async throws(ServiceError) -> Directory? {
    try directoryLocal(digest)
  }

  /// Stores a directory.
  public func put(_ directory: Directory) async throws(ServiceError) -> B3Digest {
    insert(directory)
  }

  /// Starts storing a closure.
  public func putMultiple() async throws(ServiceError) -> any DirectoryPutter {
    GraphDirectoryPutter { closure throws(ServiceError) in
      let members = closure.leavesToRoot().map { ($0.digest, DirectoryIndex($0.directory)) }
      self.directories.withLock { directories in
        for (digest, index) in members { directories[digest] = index }
      }
    }
  }

  /// Stores a directory.
  @discardableResult
  public func insert(_ directory: Directory) -> B3Digest {
    let index = DirectoryIndex(directory)
    let digest = index.digest
    directories.withLock { $0[digest] = index }
    return digest
  }

  /// Removes a directory; for tests of what is missing.
  public func remove(_ digest: B3Digest) {
    let removed = directories.withLock { $0.removeValue(forKey: digest) }
    // Freed here, outside the lock.
    _ = removed
  }
}

extension MemoryDirectoryService: LocalDirectoryAccess {
  /// Reads a directory from memory.
  public func directoryLocal(_ digest: B3Digest) throws(ServiceError) -> Directory? {
    try directoryIndexLocal(digest).map { Directory($0) }
  }

  /// Shares the directory that is in memory.
  public func directoryIndexLocal(
    _ digest: B3Digest
  ) throws(ServiceError) -> DirectoryIndex? {
    directories.withLock { $0[digest] }
  }
}
