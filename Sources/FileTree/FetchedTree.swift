public import Castore
public import Platform

/// A tree that is elsewhere, as an export reads it: blocking, and fetched a little ahead.
///
/// When a directory is read, its smaller files begin to arrive, many at a time within a bound of memory.
/// For one export, from one thread that is not of the cooperative pool.
public final class FetchedTree: LocalBlobAccess, LocalDirectoryAccess {
  private struct State {
    var ahead: [B3Digest: Task<[UInt8]?, any Error>] = [:]
    var aheadBytes: UInt64 = 0
    var open: (digest: B3Digest, reader: any BlobReader)?
  }

  private static let aheadLimit: UInt64 = 64 << 20
  private static let fileLimit: UInt64 = 1 << 20

  private let blobs: any BlobService
  private let directories: any DirectoryService
  private let state = Guarded(State())

  /// Reads from services.
  public init(blobs: any BlobService, directories: any DirectoryService) {
    self.blobs = blobs
    self.directories = directories
  }

  deinit {
    for task in state.withLock({ $0.ahead.values }) { task.cancel() }
  }

  /// What is not here was not asked for yet.
  public var isComplete: Bool { false }

  /// Reads a directory, and begins to fetch its files.
  public func directoryLocal(_ digest: B3Digest) throws(ServiceError) -> Directory? {
    let service = directories
    let found = try waitForTask { () async throws(ServiceError) in try await service.get(digest) }
    for entry in found?.entries ?? [] {
      if case .file(let digest, let size, _) = entry.node { fetchAhead(digest, size: size) }
    }
    return found
  }

  private func fetchAhead(_ digest: B3Digest, size: UInt64) {
    guard size > 0, size <= Self.fileLimit else { return }
    state.withLock { state in
      guard state.ahead[digest] == nil, state.aheadBytes + size <= Self.aheadLimit else { return }
      state.aheadBytes += size
      let service = blobs
      state.ahead[digest] = Task.detached {
        guard let reader = try await service.openRead(digest) else { return nil }
        // The directory's word for the length is checked by whoever writes the file.
        return try await reader.read(at: 0, count: Int(min(reader.size, Self.fileLimit + 1)))
      }
    }
  }

  /// Asks the service.
  public func holdsLocal(_ digest: B3Digest) throws(ServiceError) -> Bool {
    let service = blobs
    return try waitForTask { () async throws(ServiceError) in try await service.has(digest) }
  }

  /// Asks the service.
  public func sizeLocal(_ digest: B3Digest) throws(ServiceError) -> UInt64? {
    try reader(digest)?.size
  }

  /// There is nothing to lend.
  public func withBytesLocal(
    _ digest: B3Digest,
    _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(ServiceError) -> Bool {
    false
  }

  /// Reads what was fetched ahead, or waits for the service.
  public func readLocal(
    _ digest: B3Digest,
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(ServiceError) -> Int? {
    if offset == 0, let bytes = try takeAhead(digest), bytes.count <= buffer.count {
      buffer.copyBytes(from: bytes)
      return bytes.count
    }
    guard let reader = try reader(digest) else { return nil }
    let count = buffer.count
    var filled = 0
    while filled < count {
      let (place, wanted) = (offset + UInt64(filled), count - filled)
      let bytes = try waitForTask { () async throws(ServiceError) in
        try await reader.read(at: place, count: wanted)
      }
      if bytes.isEmpty { break }
      UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]).copyBytes(from: bytes)
      filled += bytes.count
    }
    return filled
  }

  /// There are no files.
  public func openLocalFile(_ digest: B3Digest) throws(ServiceError) -> OwnedDescriptor? {
    nil
  }

  private func takeAhead(_ digest: B3Digest) throws(ServiceError) -> [UInt8]? {
    guard let task = state.withLock({ $0.ahead[digest] }) else { return nil }
    let bytes = try waitForTask { () async throws(ServiceError) -> [UInt8]? in
      do {
        return try await task.value
      } catch let error as ServiceError {
        throw error
      } catch {
        throw ServiceError(.cancelled, "fetching blob \(digest) was cancelled", cause: error)
      }
    }
    state.withLock { state in
      state.ahead[digest] = nil
      // A blob of another length than was stated leaves the sum a little off, which does no harm.
      let count = UInt64(bytes?.count ?? 0)
      state.aheadBytes = state.aheadBytes > count ? state.aheadBytes - count : 0
    }
    return bytes
  }

  private func reader(_ digest: B3Digest) throws(ServiceError) -> (any BlobReader)? {
    if let open = state.withLock({ $0.open }), open.digest == digest { return open.reader }
    let service = blobs
    let found = try waitForTask { () async throws(ServiceError) in
      try await service.openRead(digest)
    }
    state.withLock { state in state.open = found.map { (digest, $0) } }
    return found
  }
}
