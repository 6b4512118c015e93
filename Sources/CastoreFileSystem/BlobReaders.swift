internal import Castore
internal import Platform

/// Open readers of blobs that are not at hand, kept for the reads that follow.
final class BlobReaders: Sendable {
  private struct Cache {
    var young: [B3Digest: Task<(any BlobReader)?, any Error>] = [:]
    var old: [B3Digest: Task<(any BlobReader)?, any Error>] = [:]
  }

  private let service: any BlobService
  private let limit: Int
  private let cache = Guarded(Cache())

  /// - Parameter limit: How many readers to keep, about.
  init(_ service: any BlobService, limit: Int) {
    self.service = service
    self.limit = limit
  }

  /// Reads exactly `count` bytes, all of which the blob must have.
  func read(_ digest: B3Digest, at offset: UInt64, count: Int) async throws -> [UInt8] {
    guard let reader = try await reader(digest) else {
      throw ServiceError(.notFound, "blob \(digest) is missing")
    }
    var bytes: [UInt8] = []
    do {
      while bytes.count < count {
        let at = offset + UInt64(bytes.count)
        let part = try await reader.read(at: at, count: count - bytes.count)
        guard !part.isEmpty, part.count <= count - bytes.count else {
          throw ServiceError(
            .corrupt,
            "blob \(digest) gave \(part.count) bytes at \(at) where \(count - bytes.count) must be"
          )
        }
        if bytes.isEmpty && part.count == count { return part }
        bytes += part
      }
    } catch {
      forget(digest)
      throw error
    }
    return bytes
  }

  private func reader(_ digest: B3Digest) async throws -> (any BlobReader)? {
    let task = cache.withLock { cache in
      if let task = cache.young[digest] { return task }
      let task = cache.old[digest] ?? Task { [service] in try await service.openRead(digest) }
      if cache.young.count >= limit / 2 {
        cache.old = cache.young
        cache.young = [:]
      }
      cache.young[digest] = task
      return task
    }
    do {
      let reader = try await task.value
      if reader == nil { forget(digest) }
      return reader
    } catch {
      forget(digest)
      throw error
    }
  }

  // A failure is not remembered: the next read tries anew.
  private func forget(_ digest: B3Digest) {
    cache.withLock { cache in
      cache.young[digest] = nil
      cache.old[digest] = nil
    }
  }
}
