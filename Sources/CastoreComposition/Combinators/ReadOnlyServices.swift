public import Castore
public import Platform

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

extension ReadOnlyBlobService: LocalBlobAccess {
  private var local: (any LocalBlobAccess)? { inner as? any LocalBlobAccess }

  /// Says what the service says.
  public var isComplete: Bool { local?.isComplete ?? false }

  /// Whether the service holds it on this machine.
  public func holdsLocal(_ digest: B3Digest) throws(ServiceError) -> Bool {
    try local?.holdsLocal(digest) ?? false
  }

  /// The length of a blob that the service holds on this machine.
  public func sizeLocal(_ digest: B3Digest) throws(ServiceError) -> UInt64? {
    guard let local else { return nil }
    return try local.sizeLocal(digest)
  }

  /// Lends a blob that the service has in memory.
  public func withBytesLocal(
    _ digest: B3Digest,
    _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(ServiceError) -> Bool {
    guard let local else { return false }
    return try local.withBytesLocal(digest, body)
  }

  /// Reads from the service, where that is on this machine.
  public func readLocal(
    _ digest: B3Digest,
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(ServiceError) -> Int? {
    guard let local else { return nil }
    return try local.readLocal(digest, at: offset, into: buffer)
  }

  /// Lends the service's file.
  public func withFileLocal(
    _ digest: B3Digest,
    reading range: Range<UInt64>,
    _ body: (LocalFileExtent) -> Void
  ) throws(ServiceError) -> Bool {
    guard let local else { return false }
    return try local.withFileLocal(digest, reading: range, body)
  }

  /// Checks the service's blob.
  public func verifyLocal(_ digest: B3Digest) throws(ServiceError) -> Bool {
    try local?.verifyLocal(digest) ?? false
  }

  /// Tells the service.
  public func releaseDescriptors() { local?.releaseDescriptors() }

  /// Opens the service's file.
  public func openLocalFile(_ digest: B3Digest) throws(ServiceError) -> OwnedDescriptor? {
    guard let local else { return nil }
    return try local.openLocalFile(digest)
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
