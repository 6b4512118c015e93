public import Castore
internal import Platform

extension LocalStore: BlobService {
  /// See `BlobService`.
  public func has(_ digest: B3Digest) async throws(ServiceError) -> Bool {
    try holdsLocal(digest)
  }

  /// See `BlobService`.
  public func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? {
    guard let size = try sizeLocal(digest) else { return nil }
    return LocalBlobReader(store: self, digest: digest, size: size)
  }

  /// See `BlobService`.
  public func openWrite() async throws(ServiceError) -> any BlobWriter {
    LocalBlobWriter(store: self)
  }

  /// Blobs are kept whole: there are no chunks.
  public func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? {
    try holdsLocal(digest) ? [] : nil
  }
}

extension LocalStore {
  /// Puts something through the writer that all asynchronous calls share, and waits until it is
  /// durable. Callers at the same time share a commit.
  func putDurably<Value: Sendable>(
    _ body: @escaping @Sendable (StoreWriter) throws(ServiceError) -> Value
  ) async throws(ServiceError) -> Value {
    try await BlockingPool.shared.run { [self] () throws(ServiceError) in
      let writer = try currentSharedWriter()
      do throws(ServiceError) {
        let value = try body(writer)
        try writer.flush()
        return value
      } catch {
        // A failed writer stays failed: the next caller gets a new one.
        sharedWriter.withLock { if $0 === writer { $0 = nil } }
        throw error
      }
    }
  }

  func currentSharedWriter() throws(ServiceError) -> StoreWriter {
    if let writer = sharedWriter.withLock({ $0 }) { return writer }
    let new = try makeWriter()
    return sharedWriter.withLock { shared in
      if let other = shared { return other }
      shared = new
      return new
    }
  }
}

/// A blob of the local store, open.
struct LocalBlobReader: BlobReader {
  let store: LocalStore
  let digest: B3Digest
  let size: UInt64

  func read(at offset: UInt64, count: Int) async throws(ServiceError) -> [UInt8] {
    guard offset < size, count > 0 else { return [] }
    // Fits: at most `count`.
    let wanted = Int(min(UInt64(count), size - offset))
    return try await BlockingPool.shared.run { () throws(ServiceError) in
      try filled(count: wanted) { (buffer) throws(ServiceError) in
        guard let count = try store.readLocal(digest, at: offset, into: buffer) else {
          throw ServiceError.blobNotFound(digest)
        }
        return count
      }
    }
  }

  private func filled(
    count: Int,
    _ fill: (UnsafeMutableRawBufferPointer) throws(ServiceError) -> Int
  ) throws(ServiceError) -> [UInt8] {
    var failure: ServiceError?
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      do throws(ServiceError) {
        filled = try fill(UnsafeMutableRawBufferPointer(buffer))
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return bytes
  }
}
