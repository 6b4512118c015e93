import BLAKE3
import Castore
import CastoreProtos
import GRPCCore

/// A blob on its way to a gRPC server.
///
/// What fits one message is kept until the writer is closed, and sent again where the server could not be
/// reached. A longer one is sent as it is written; it fails where the connection breaks.
actor GRPCBlobWriter: Castore.BlobWriter {
  private let peer: GRPCPeer
  private let family: FamilyChoice
  private var buffer: [UInt8] = []
  private var hasher = BLAKE3.Hasher()
  private var upload: RequestStream<[UInt8]>?
  private var result: Result<B3Digest, ServiceError>?

  init(_ peer: GRPCPeer, family: FamilyChoice) {
    self.peer = peer
    self.family = family
  }

  func write(_ bytes: [UInt8]) async throws(ServiceError) {
    if let result {
      _ = try result.get()
      throw ServiceError(.invalidArgument, "the blob was closed before: cannot write to it")
    }
    hasher.update(bytes)
    var rest = bytes[...]
    while !rest.isEmpty {
      let part = rest.prefix(WireLimits.blobMessage - buffer.count)
      buffer += part
      rest = rest.dropFirst(part.count)
      if buffer.count == WireLimits.blobMessage && !rest.isEmpty { try await send() }
    }
  }

  func close() async throws(ServiceError) -> B3Digest {
    if let result { return try result.get() }
    let result: Result<B3Digest, ServiceError>
    do throws(ServiceError) { result = .success(try await finish()) } catch {
      result = .failure(error)
    }
    self.result = result
    buffer = []
    upload = nil
    return try result.get()
  }

  func abandon() async {
    if result != nil { return }
    result = .failure(ServiceError(.invalidArgument, "the blob was abandoned before"))
    buffer = []
    await upload?.abandon()
    upload = nil
  }

  private func send() async throws(ServiceError) {
    do {
      let upload = try await started()
      let piece = buffer
      buffer = []
      try await upload.send(piece)
    } catch {
      let error = ServiceError(error, action: "writing a blob", peer: peer.name)
      if result == nil { result = .failure(error) }
      throw error
    }
  }

  private func started() async throws -> RequestStream<[UInt8]> {
    if let upload { return upload }
    let family = try await peer.perform("writing a blob") { try await self.family.family }
    let upload = begin(in: family)
    self.upload = upload
    return upload
  }

  private func begin(in family: WireFamily) -> RequestStream<[UInt8]> {
    RequestStream(
      peer,
      WireService.blobs.method("Put", in: family),
      writing: BlobChunkCodec(),
      reading: ProtobufCodec<ProtoPutBlobResponse>()
    ) { answer in
      try B3Digest(bytes: [UInt8](answer.digest))
    }
  }

  private func finish() async throws(ServiceError) -> B3Digest {
    let digest = B3Digest(hasher.finalize())
    let answer: B3Digest
    if upload == nil {
      // All of it is here still, so it can be sent any number of times.
      answer = try await peer.perform("writing blob \(digest)") {
        let upload = begin(in: try await family.family)
        if !buffer.isEmpty { try await upload.send(buffer) }
        return try await upload.finish()
      }
    } else {
      if !buffer.isEmpty { try await send() }
      do {
        guard let upload else { throw CancellationError() }
        answer = try await upload.finish()
      } catch {
        throw ServiceError(error, action: "writing blob \(digest)", peer: peer.name)
      }
    }
    guard answer == digest else {
      throw ServiceError(.corrupt, "\(peer.name): sent blob \(digest), the server has \(answer)")
    }
    return digest
  }
}
