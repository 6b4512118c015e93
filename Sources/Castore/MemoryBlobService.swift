public import Platform

/// Blobs held in memory, whole; for tests and small temporary stores.
public final class MemoryBlobService: BlobService {
  private let blobs = Guarded<[B3Digest: [UInt8]]>([:])

  /// An empty store.
  public init() {}

  /// Says whether a blob is there.
  public func has(_ digest: B3Digest) async throws(ServiceError) -> Bool {
    bytes(of: digest) != nil
  }

  /// Opens a blob.
  public func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? {
    bytes(of: digest).map { BytesBlobReader($0) }
  }

  /// Starts a blob.
  public func openWrite() async throws(ServiceError) -> any BlobWriter {
    MemoryBlobWriter { self.insert($0) }
  }

  /// Blobs in memory are not divided.
  public func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? {
    bytes(of: digest).map { _ in [] }
  }

  /// Stores a blob.
  @discardableResult
  public func insert(_ bytes: [UInt8]) -> B3Digest {
    let digest = B3Digest(hashing: bytes)
    blobs.withLock { $0[digest] = bytes }
    return digest
  }

  /// Removes a blob; for tests of what is missing.
  public func remove(_ digest: B3Digest) {
    let removed = blobs.withLock { $0.removeValue(forKey: digest) }
    // Freed here, outside the lock.
    _ = removed
  }

  private func bytes(of digest: B3Digest) -> [UInt8]? {
    blobs.withLock { $0[digest] }
  }
}

extension MemoryBlobService: LocalBlobAccess {
  /// There is nothing elsewhere.
  public var isComplete: Bool { true }

  /// Says whether a blob is there.
  public func holdsLocal(_ digest: B3Digest) throws(ServiceError) -> Bool {
    bytes(of: digest) != nil
  }

  /// Copies out of memory.
  public func sizeLocal(_ digest: B3Digest) throws(ServiceError) -> UInt64? {
    bytes(of: digest).map { UInt64($0.count) }
  }

  /// See `LocalBlobAccess`.
  public func withBytesLocal(
    _ digest: B3Digest,
    _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(ServiceError) -> Bool {
    guard let bytes = bytes(of: digest) else { return false }
    bytes.withUnsafeBytes(body)
    return true
  }

  /// See `LocalBlobAccess`.
  public func readLocal(
    _ digest: B3Digest,
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(ServiceError) -> Int? {
    guard let bytes = bytes(of: digest) else { return nil }
    let part = bytes.part(at: offset, count: buffer.count)
    part.withUnsafeBytes { buffer.copyMemory(from: $0) }
    return part.count
  }

  /// There are no files.
  public func openLocalFile(_ digest: B3Digest) throws(ServiceError) -> OwnedDescriptor? {
    nil
  }
}

extension [UInt8] {
  // At most `count` elements from an offset; none at or past the end.
  func part(at offset: UInt64, count: Int) -> ArraySlice<UInt8> {
    guard let start = Int(exactly: offset), start < self.count, count > 0 else { return [] }
    return self[start..<(start + Swift.min(count, self.count - start))]
  }
}

private final class MemoryBlobWriter: BlobWriter {
  private enum State {
    case writing([UInt8])
    case closed(B3Digest)
    case abandoned
  }

  private let state = Guarded<State>(.writing([]))
  private let insert: @Sendable ([UInt8]) -> B3Digest

  init(insert: @escaping @Sendable ([UInt8]) -> B3Digest) {
    self.insert = insert
  }

  func write(_ bytes: [UInt8]) async throws(ServiceError) {
    try state.withLock { (state) throws(ServiceError) in
      guard case .writing(var written) = state else {
        throw ServiceError(.invalidArgument, "the blob was closed before: cannot write to it")
      }
      // Lets go of the state's copy, so that the array grows in place.
      state = .abandoned
      written.append(contentsOf: bytes)
      state = .writing(written)
    }
  }

  func close() async throws(ServiceError) -> B3Digest {
    // One task at a time writes: nobody comes between the two locks.
    let written = try state.withLock { (state) throws(ServiceError) -> [UInt8]? in
      switch state {
      case .writing(let bytes): return bytes
      case .closed: return nil
      case .abandoned: throw ServiceError(.invalidArgument, "the blob was abandoned before")
      }
    }
    if let written {
      let digest = insert(written)
      state.withLock { $0 = .closed(digest) }
      return digest
    }
    return try state.withLock { (state) throws(ServiceError) in
      guard case .closed(let digest) = state else {
        throw ServiceError(.invalidArgument, "the blob was abandoned before")
      }
      return digest
    }
  }

  func abandon() async {
    state.withLock { state in
      if case .writing = state { state = .abandoned }
    }
  }
}
