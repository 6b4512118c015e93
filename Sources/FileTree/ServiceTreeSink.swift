internal import BLAKE3
public import Castore
internal import Glibc
public import Platform

/// An import's way into services that are elsewhere.
///
/// Small blobs are hashed on the importer's thread and travel behind its back, many at a time within a
/// bound of memory; the importer's threads wait for the rest. Directories are held until `flush`, and then
/// stored as one checked tree: for one import of one tree.
public final class ServiceTreeSink: TreeSink {
  private struct State {
    var calls = 0
    var bytes = 0
    var error: ServiceError?
    var directories: [Directory] = []
    var isAbandoned = false
  }

  // Bounds of what is under way.
  private static let callLimit = 64
  private static let byteLimit = 64 << 20

  private let blobs: any BlobService
  private let directories: any DirectoryService
  private let state = Monitor(State())

  /// Puts into services.
  public init(blobs: any BlobService, directories: any DirectoryService) {
    self.blobs = blobs
    self.directories = directories
  }

  /// Longer blobs are read piece by piece.
  public var inMemoryLimit: Int { 4 << 20 }

  /// Hashes a blob; it is sent, if it is missing, at some time before `flush` returns.
  public func putBlob(_ bytes: UnsafeRawBufferPointer) throws(ServiceError) -> B3Digest {
    let digest = B3Digest(hashing: bytes)
    let copy = [UInt8](bytes)
    let error = state.withLock(waitingWhile: { state in
      state.error == nil
        && (state.calls >= Self.callLimit
          || (state.calls > 0 && state.bytes + copy.count > Self.byteLimit))
    }) { state -> ServiceError? in
      if state.error == nil {
        state.calls += 1
        state.bytes += copy.count
      }
      return state.error
    }
    if let error { throw error }
    // Not a child of anything: the caller is a plain thread. `flush` waits for it.
    Task.detached { [self] in
      var failure: ServiceError?
      do throws(ServiceError) { try await send(copy, digest) } catch { failure = error }
      state.withLock { state in
        state.calls -= 1
        state.bytes -= copy.count
        if state.error == nil { state.error = failure }
      }
      state.notifyAll()
    }
    return digest
  }

  private func send(_ bytes: [UInt8], _ digest: B3Digest) async throws(ServiceError) {
    if try await blobs.has(digest) { return }
    let writer = try await blobs.openWrite()
    do throws(ServiceError) {
      try await writer.write(bytes)
      let stored = try await writer.close()
      guard stored == digest else {
        throw ServiceError.digestMismatch("blob", expected: digest, got: stored)
      }
    } catch {
      await writer.abandon()
      throw error
    }
  }

  /// Hashes a file, and reads it once more to send it where it is missing.
  public func putBlob(
    from file: borrowing OwnedDescriptor,
    progress: (Int) -> Void
  ) throws(ServiceError) -> (digest: B3Digest, size: UInt64) {
    try throwFailure()
    let hashed: (digest: BLAKE3.Digest, size: UInt64)
    do throws(Errno) {
      hashed = try BLAKE3.hashFile(file)
    } catch {
      throw ServiceError(error, "cannot read")
    }
    let digest = B3Digest(hashed.digest)
    let blobs = blobs
    let isThere = try waiting { () async throws(ServiceError) in try await blobs.has(digest) }
    if isThere {
      progress(Int(clamping: hashed.size))
      return (digest, hashed.size)
    }
    let writer = try waiting { () async throws(ServiceError) in try await blobs.openWrite() }
    do throws(ServiceError) {
      var offset: UInt64 = 0
      while true {
        try throwFailure()
        let bytes = try read(file, at: offset)
        if bytes.isEmpty { break }
        try waiting { () async throws(ServiceError) in try await writer.write(bytes) }
        offset += UInt64(bytes.count)
        progress(bytes.count)
      }
      // Closed even where the file changed meanwhile: the digest is that of what was sent.
      let stored = try waiting { () async throws(ServiceError) in try await writer.close() }
      return (stored, offset)
    } catch {
      _ = try? waiting { () async throws(ServiceError) in await writer.abandon() }
      throw error
    }
  }

  private func read(
    _ file: borrowing OwnedDescriptor,
    at offset: UInt64
  ) throws(ServiceError) -> [UInt8] {
    let number = file.number
    var failure: Errno?
    let bytes = [UInt8](unsafeUninitializedCapacity: 1 << 20) { buffer, filled in
      do throws(Errno) {
        guard let base = buffer.baseAddress else { return }
        filled = try retryingOnInterrupt { pread(number, base, 1 << 20, off_t(offset)) }
      } catch {
        failure = error
      }
    }
    if let failure { throw ServiceError(failure, "cannot read") }
    return bytes
  }

  /// Takes note of a directory.
  public func putDirectory(_ directory: Directory) throws(ServiceError) -> B3Digest {
    try throwFailure()
    state.withLock { $0.directories.append(directory) }
    return directory.digest
  }

  /// Waits for the blobs, then stores the directories.
  public func flush() throws(ServiceError) {
    let (error, tree) = state.withLock(waitingWhile: { $0.calls > 0 }) { state in
      defer { state.directories = [] }
      return (state.error, state.directories)
    }
    if let error { throw error }
    if tree.isEmpty { return }
    let service = directories
    try waiting { () async throws(ServiceError) in
      let putter = try await service.putMultiple()
      for directory in tree { try await putter.put(directory) }
      _ = try await putter.close()
    }
  }

  /// Begins nothing more; what is under way comes to its end behind everybody's back.
  public func abandon() {
    state.withLock { state in
      if state.error == nil { state.error = ServiceError(.cancelled, "the import was given up") }
    }
    state.notifyAll()
  }

  private func throwFailure() throws(ServiceError) {
    if let error = state.withLock({ $0.error }) { throw error }
  }

  private func waiting<Value: Sendable>(
    _ body: @escaping @Sendable () async throws(ServiceError) -> Value
  ) throws(ServiceError) -> Value {
    try waitForTask(body)
  }
}

/// Runs asynchronous work, and blocks the calling thread until it is done. Never on the cooperative pool.
package func waitForTask<Value: Sendable>(
  _ body: @escaping @Sendable () async throws(ServiceError) -> Value
) throws(ServiceError) -> Value {
  let latch = Latch<Result<Value, ServiceError>>()
  Task.detached {
    do throws(ServiceError) {
      latch.set(.success(try await body()))
    } catch {
      latch.set(.failure(error))
    }
  }
  return try latch.wait().get()
}
