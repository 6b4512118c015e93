internal import BLAKE3
internal import Castore
internal import Platform

/// A blob that comes in piece by piece: in memory while it is short, then in a temporary file.
final class LocalBlobWriter: BlobWriter {
  private let upload: Guarded<Upload>
  private let store: LocalStore

  init(store: LocalStore) {
    self.store = store
    upload = Guarded(Upload(store: store))
  }

  func write(_ bytes: [UInt8]) async throws(ServiceError) {
    // One task at a time writes, so that nobody waits for the lock while the file is written.
    try await BlockingPool.shared.run { [upload] () throws(ServiceError) in
      try upload.withLock { (upload) throws(ServiceError) in try upload.write(bytes) }
    }
  }

  func close() async throws(ServiceError) -> B3Digest {
    let upload = upload
    if let result = upload.withLock({ $0.result }) { return try result.get() }
    let result: Result<B3Digest, ServiceError>
    do throws(ServiceError) {
      result = .success(
        try await store.putDurably { (writer) throws(ServiceError) in
          try upload.withLock { (upload) throws(ServiceError) in try upload.finish(writer) }
        }
      )
    } catch {
      result = .failure(error)
    }
    upload.withLock { $0.end(result) }
    return try result.get()
  }

  func abandon() async {
    upload.withLock { upload in
      if upload.result != nil { return }
      upload.end(.failure(ServiceError(.cancelled, "the blob was abandoned before it was closed")))
    }
  }
}

extension LocalBlobWriter {
  fileprivate struct Upload {
    private(set) var result: Result<B3Digest, ServiceError>?
    private let store: LocalStore
    private var bytes: [UInt8] = []
    private var file: HashedFile?

    init(store: LocalStore) {
      self.store = store
    }

    mutating func write(_ more: [UInt8]) throws(ServiceError) {
      if let result {
        _ = try result.get()
        throw ServiceError(.invalidArgument, "the blob was closed before")
      }
      do throws(ServiceError) {
        if file == nil && bytes.count + more.count > StoreWriter.largestRecord {
          let file = try HashedFile(try store.core.session(), store.core.options.access)
          try file.append(bytes)
          bytes = []
          self.file = file
        }
        if let file { try file.append(more) } else { bytes += more }
      } catch {
        end(.failure(error))
        throw error
      }
    }

    /// Hands everything over to a writer, which the caller flushes.
    mutating func finish(_ writer: StoreWriter) throws(ServiceError) -> B3Digest {
      guard let file else {
        return try bytes.span.bytes.withUnsafeBytes { (bytes) throws(ServiceError) in
          try writer.putBlob(bytes)
        }
      }
      let outboard = file.finish()
      let digest = B3Digest(outboard.digest)
      if try writer.isKnown(HeldObject(digest: digest, kind: .blob)) { return digest }
      try writer.add(file.file, outboard)
      return digest
    }

    mutating func end(_ result: Result<B3Digest, ServiceError>) {
      self.result = result
      bytes = []
      file = nil
    }
  }

  /// A file and the hash of what is in it.
  // Not Sendable: it is reached through the lock around `Upload` only.
  private final class HashedFile {
    let file: NewBlobFile
    private var hasher: BLAKE3.OutboardHasher?

    init(_ session: Session, _ access: StoreAccess) throws(ServiceError) {
      file = try NewBlobFile(in: session, access: access)
      hasher = BLAKE3.OutboardHasher()
    }

    func append(_ bytes: [UInt8]) throws(ServiceError) {
      try bytes.span.bytes.withUnsafeBytes { (bytes) throws(ServiceError) in
        hasher?.update(bytes)
        try file.append(bytes)
      }
    }

    /// Once only.
    func finish() -> BLAKE3.Outboard {
      guard let hasher = hasher.take() else { preconditionFailure("a file is finished once") }
      return hasher.finalize()
    }
  }
}
