/// A store of directories, named by the BLAKE3 digest of their canonical encoding.
///
/// A missing directory is `nil`, never an error. What comes back was checked against its digest or
/// comes from a place that only takes checked ones. Safe to use from any task.
public protocol DirectoryService: Sendable {
  /// Fetches one directory. A service may know only the roots of what was put.
  func get(_ digest: B3Digest) async throws(ServiceError) -> Directory?

  /// Stores one directory. Its children need not be there yet.
  ///
  /// - Returns: Its digest, once it is durable.
  func put(_ directory: Directory) async throws(ServiceError) -> B3Digest

  /// Streams a directory and all below it: the root first, every other only after one that refers
  /// to it, breadth first, each digest once. Empty where the root is missing; a missing child is
  /// an error.
  func getRecursive(_ root: B3Digest) -> AsyncThrowingStream<Directory, any Error>

  /// Starts storing a closure of directories, which is checked as a whole and stored all or nothing.
  func putMultiple() async throws(ServiceError) -> any DirectoryPutter
}

/// Takes the directories of one closure, leaves first, from one task at a time.
public protocol DirectoryPutter: Sendable {
  /// Adds a directory. All its children must have been added before; repeating one is allowed.
  ///
  /// An error may concern an earlier directory.
  func put(_ directory: Directory) async throws(ServiceError)

  /// Checks the whole (one root, all connected, every stated size right), stores it, and names the root.
  ///
  /// Closing again does nothing and returns the same digest, or throws the same error.
  func close() async throws(ServiceError) -> B3Digest
}

/// Directories that lie on this machine and can be read without waiting for anybody.
public protocol LocalDirectoryAccess: Sendable {
  /// Reads a directory from the local disk or memory; may block on the disk, never on the network.
  func directoryLocal(_ digest: B3Digest) throws(ServiceError) -> Directory?

  /// Reads a directory as `directoryLocal(_:)` does, in the compact form for lookups.
  ///
  /// A service that holds encodings should offer it: without one, a `Directory` is read and encoded.
  func directoryIndexLocal(_ digest: B3Digest) throws(ServiceError) -> DirectoryIndex?
}
