public import Castore
internal import Platform

extension LocalStore: LocalDirectoryAccess {
  /// See `LocalDirectoryAccess`.
  public func directoryLocal(_ digest: B3Digest) throws(ServiceError) -> Directory? {
    try decode(digest) { (bytes) throws(DirectoryError) in
      try Directory(canonicalEncoding: bytes)
    }
  }

  /// Reads a directory in the form that answers lookups without decoding it all.
  public func directoryIndexLocal(_ digest: B3Digest) throws(ServiceError) -> DirectoryIndex? {
    try decode(digest) { (bytes) throws(DirectoryError) in
      try DirectoryIndex(canonicalEncoding: bytes)
    }
  }

  private func decode<Value>(
    _ digest: B3Digest,
    _ body: (UnsafeRawBufferPointer) throws(DirectoryError) -> Value
  ) throws(ServiceError) -> Value? {
    try core.withDirectoryEncoding(digest) { (bytes) throws(ServiceError) -> Value? in
      guard let bytes else { return nil }
      if self.verifiesReads { try self.core.verify(bytes, digest) }
      do throws(DirectoryError) {
        return try body(bytes)
      } catch {
        throw ServiceError.corruptDirectory(digest, error)
      }
    }
  }
}

extension LocalStore: DirectoryService {
  /// See `DirectoryService`.
  public func get(_ digest: B3Digest) async throws(ServiceError) -> Directory? {
    try directoryLocal(digest)
  }

  /// See `DirectoryService`. Puts at the same time share a commit.
  public func put(_ directory: Directory) async throws(ServiceError) -> B3Digest {
    try await putDurably { (writer) throws(ServiceError) in try writer.putDirectory(directory) }
  }

  /// See `DirectoryService`.
  public func getRecursive(_ root: B3Digest) -> AsyncThrowingStream<Directory, any Error> {
    traverse(root)
  }

  /// See `DirectoryService`. The closure is stored in one transaction.
  public func putMultiple() async throws(ServiceError) -> any DirectoryPutter {
    let core = core
    return GraphDirectoryPutter { (closure) async throws(ServiceError) in
      try await BlockingPool.shared.run { () throws(ServiceError) in
        try core.index.write { (writer) throws(ServiceError) in
          for member in closure.leavesToRoot() {
            try member.digest.withUnsafeBytes { (key) throws(ServiceError) in
              _ = try writer.add(.directories, key, count: member.encoding.count) {
                $0.copyBytes(from: member.encoding)
              }
            }
          }
        }
      }
    }
  }
}
