public import Castore

/// A blob service that takes nothing.
public struct ReadOnlyBlobService: BlobService {
  private let inner: any BlobService

  /// Reads from a service.
  public init(_ inner: any BlobService) {
    self.inner = inner
  }

  /// Passes the call on.
  public func has(_ digest: B3Digest) async throws(ServiceError) -> Bool {
    try await inner.has(digest)
  }

  /// Passes the call on.
  public func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? {
    try await inner.openRead(digest)
  }

  /// Refuses.
  public func openWrite() async throws(ServiceError) -> any BlobWriter {
    throw ServiceError(.permissionDenied, "the blob store can only be read")
  }

  /// Passes the call on.
  public func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? {
    try await inner.chunks(of: digest)
  }
}

/// A directory service that takes nothing.
public struct ReadOnlyDirectoryService: DirectoryService {
  private let inner: any DirectoryService

  /// Reads from a service.
  public init(_ inner: any DirectoryService) {
    self.inner = inner
  }

  /// Passes the call on.
  public func get(_ digest: B3Digest) async throws(ServiceError) -> Directory? {
    try await inner.get(digest)
  }

  /// Refuses.
  public func put(_ directory: Directory) async throws(ServiceError) -> B3Digest {
    throw refusal
  }

  /// Passes the call on.
  public func getRecursive(_ root: B3Digest) -> AsyncThrowingStream<Directory, any Error> {
    inner.getRecursive(root)
  }

  /// Refuses.
  public func putMultiple() async throws(ServiceError) -> any DirectoryPutter {
    throw refusal
  }

  private var refusal: ServiceError {
    ServiceError(.permissionDenied, "the directory store can only be read")
  }
}

/// Root names that cannot be changed.
public struct ReadOnlyRootNodes: RootNodes {
  private let inner: any RootNodes

  /// Shows names.
  public init(_ inner: any RootNodes) {
    self.inner = inner
  }

  /// Passes the call on.
  public func node(named name: PathComponent) async throws(ServiceError) -> Node? {
    try await inner.node(named: name)
  }

  /// Passes the call on.
  public func list() -> AsyncThrowingStream<NamedNode, any Error> {
    inner.list()
  }
}
