public import Platform

/// Where an import puts what it finds: a synchronous face of a store, for the importer's own threads.
///
/// Every call may block and is safe from any thread. What was put may become visible and durable at
/// any later time, but in the order of the calls: a directory never before what it refers to, given
/// that the caller puts children first. `flush` waits for all of it.
public protocol TreeSink: Sendable {
  /// The longest blob, in bytes, that `putBlob(_:)` should be called with; longer ones go through
  /// `putBlob(from:progress:)`.
  var inMemoryLimit: Int { get }

  /// Stores a blob held in memory. Stores nothing where it is there already.
  func putBlob(_ bytes: UnsafeRawBufferPointer) throws(ServiceError) -> B3Digest

  /// Stores a blob by reading an open file from its first byte to its end, once where possible.
  ///
  /// - Parameters:
  ///   - file: A regular file open for reading; its offset is not used and not changed.
  ///   - progress: Told about every further run of bytes read, in bytes.
  /// - Returns: The digest and length of what was stored. The caller compares the length with what
  ///   it expected; a file that changed while it was read still gives a true digest of what is stored.
  func putBlob(
    from file: borrowing OwnedDescriptor,
    progress: (Int) -> Void
  ) throws(ServiceError) -> (digest: B3Digest, size: UInt64)

  /// Stores a directory whose children were all put before.
  func putDirectory(_ directory: Directory) throws(ServiceError) -> B3Digest

  /// Returns when everything put before is durable; throws the first error of anything that was put.
  func flush() throws(ServiceError)

  /// Makes every later call fail soon, and those under way in other threads: the caller gives up.
  func abandon()
}

extension TreeSink {
  /// Does nothing: for a sink whose calls are short.
  public func abandon() {}
}
