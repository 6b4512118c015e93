import Castore
import Platform

/// A long blob that is read from afar until all of it has come near.
final class FillingBlobReader: BlobReader {
  let size: UInt64
  // What is read from afar, and a part on its way near.
  var memoryBound: Int { far.memoryBound + 1 << 20 }
  private let far: any BlobReader
  private let nearReader = Guarded<(any BlobReader)?>(nil)
  private let filling = Guarded<Task<Void, Never>?>(nil)

  /// Begins to bring it near; letting go of the reader breaks that off.
  init(_ far: any BlobReader, digest: B3Digest, near: any BlobService) {
    size = far.size
    self.far = far
    let task = Task.detached { [nearReader] in
      do throws(ServiceError) {
        guard try await copyBlob(digest, from: far, to: near) else { return }
        let reader = try await near.openRead(digest)
        nearReader.withLock { $0 = reader }
      } catch {
        // Reading from afar goes on, and tells of the error if it persists.
      }
    }
    filling.withLock { $0 = task }
  }

  deinit {
    filling.withLock { $0 }?.cancel()
  }

  func read(at offset: UInt64, count: Int) async throws(ServiceError) -> [UInt8] {
    if let reader = nearReader.withLock({ $0 }) {
      do throws(ServiceError) { return try await reader.read(at: offset, count: count) } catch {}
    }
    return try await far.read(at: offset, count: count)
  }
}
