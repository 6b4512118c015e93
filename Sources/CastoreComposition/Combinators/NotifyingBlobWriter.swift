import Castore

/// Writes a blob to one or two places. The first decides; a second that fails is left behind.
actor NotifyingBlobWriter: BlobWriter {
  private let first: any BlobWriter
  private var second: (any BlobWriter)?
  private let onClose: @Sendable (B3Digest) -> Void

  /// - Parameter onClose: Told what is there now.
  init(_ writers: [any BlobWriter], onClose: @escaping @Sendable (B3Digest) -> Void) {
    precondition(!writers.isEmpty, "a blob is written somewhere")
    first = writers[0]
    second = writers.count > 1 ? writers[1] : nil
    self.onClose = onClose
  }

  func write(_ bytes: [UInt8]) async throws(ServiceError) {
    try await first.write(bytes)
    do throws(ServiceError) { try await second?.write(bytes) } catch {
      await second?.abandon()
      second = nil
    }
  }

  func close() async throws(ServiceError) -> B3Digest {
    let digest = try await first.close()
    do throws(ServiceError) { _ = try await second?.close() } catch { second = nil }
    onClose(digest)
    return digest
  }

  func abandon() async {
    await first.abandon()
    await second?.abandon()
  }
}
