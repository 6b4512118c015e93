/// A tree sink that takes long blobs piece by piece: from an archive or a socket instead of a file.
public protocol StreamingTreeSink: TreeSink {
  /// Stores a blob by asking for its bytes, from the first to the last.
  ///
  /// - Parameter source: Fills a part of the buffer, which is never empty, and returns how much; 0 at the
  ///   end. What it throws ends the call, stores nothing, and leaves the sink in order.
  /// - Returns: The digest and length of what was stored.
  func putBlob(
    reading source: (UnsafeMutableRawBufferPointer) throws(ServiceError) -> Int
  ) throws(ServiceError) -> (digest: B3Digest, size: UInt64)
}
