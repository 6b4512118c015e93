public import Castore
internal import Packs
internal import Platform

extension LocalStore: LocalDirectoryAccess {
  /// See `LocalDirectoryAccess`.
  public func directoryLocal(_ digest: B3Digest) throws(ServiceError) -> Directory? {
    try core.withDirectory(digest) { (bytes) throws(DirectoryError) in
      try Directory(canonicalEncoding: bytes)
    }
  }

  /// Reads a directory in the form that answers lookups without decoding it all.
  public func directoryIndexLocal(_ digest: B3Digest) throws(ServiceError) -> DirectoryIndex? {
    try core.withDirectory(digest) { (bytes) throws(DirectoryError) in
      try DirectoryIndex(canonicalEncoding: bytes)
    }
  }
}

extension StoreCore {
  /// Decodes a directory.
  func withDirectory<Value>(
    _ digest: B3Digest,
    _ body: (UnsafeRawBufferPointer) throws(DirectoryError) -> Value
  ) throws(ServiceError) -> Value? {
    try withRecord(HeldObject(digest: digest, kind: .directory)) {
      (pack, place) throws(ServiceError) in
      try readWhole(digest, .directory, pack, place) { (bytes) throws(ServiceError) in
        do throws(DirectoryError) {
          return try body(bytes)
        } catch {
          throw ServiceError.corruptDirectory(digest, error)
        }
      }
    }
  }
}

extension LocalStore: DirectoryService {
  /// See `DirectoryService`.
  public func get(_ digest: B3Digest) async throws(ServiceError) -> Directory? {
    try directoryLocal(digest)
  }

  /// See `DirectoryService`. Puts at the same time become durable together.
  public func put(_ directory: Directory) async throws(ServiceError) -> B3Digest {
    try await putDurably { (writer) throws(ServiceError) in try writer.putDirectory(directory) }
  }

  /// See `DirectoryService`.
  public func getRecursive(_ root: B3Digest) -> AsyncThrowingStream<Directory, any Error> {
    traverse(root)
  }

  /// See `DirectoryService`. A directory is visible only after all below it are.
  public func putMultiple() async throws(ServiceError) -> any DirectoryPutter {
    GraphDirectoryPutter { (closure) async throws(ServiceError) in
      try await self.putDurably { (writer) throws(ServiceError) in
        for member in closure.leavesToRoot() {
          try writer.putDirectory(encoding: member.encoding, digest: member.digest)
        }
      }
    }
  }
}
