package import Castore
import CastoreProtos
package import GRPCCore
import SwiftProtobuf

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Serves `BlobService` over any blob service, in the packages of both families.
///
/// Holds one message of each running transfer, besides what the transport has in its windows.
package struct BlobServer: RegistrableRPCService {
  private let blobs: any Castore.BlobService
  private let messageSize: Int

  /// Serves a service.
  ///
  /// - Parameter messageSize: How many bytes of a blob are sent in one message.
  package init(_ blobs: any Castore.BlobService, messageSize: Int = WireLimits.blobMessage) {
    precondition(messageSize > 0, "a message holds at least one byte of a blob")
    self.blobs = blobs
    self.messageSize = messageSize
  }

  package func registerMethods<Transport: ServerTransport>(
    with router: inout RPCRouter<Transport>
  ) {
    router.register(
      .blobs,
      "Stat",
      reading: ProtobufCodec<ProtoStatBlobRequest>(),
      writing: ProtobufCodec<ProtoStatBlobResponse>()
    ) { request in
      let answer = try await stat(request.single)
      return StreamingServerResponse(single: ServerResponse(message: answer))
    }
    router.register(
      .blobs,
      "Read",
      reading: ProtobufCodec<ProtoReadBlobRequest>(),
      writing: BlobChunkCodec()
    ) { request in
      try await read(request.single)
    }
    router.register(
      .blobs,
      "Put",
      reading: BlobChunkCodec(),
      writing: ProtobufCodec<ProtoPutBlobResponse>()
    ) { request in
      let answer = try await put(request.messages)
      return StreamingServerResponse(single: ServerResponse(message: answer))
    }
  }

  private func stat(_ request: ProtoStatBlobRequest) async throws -> ProtoStatBlobResponse {
    let digest = try B3Digest(wire: request.digest)
    guard request.sendChunks else {
      guard try await blobs.has(digest) else { throw Self.notFound(digest) }
      return ProtoStatBlobResponse()
    }
    guard var chunks = try await blobs.chunks(of: digest) else { throw Self.notFound(digest) }
    if chunks.isEmpty {
      // One chunk says what none does, and the blob's length besides: the client need not read all
      // of a blob to know it.
      guard let reader = try await blobs.openRead(digest) else { throw Self.notFound(digest) }
      chunks = [ChunkMeta(digest: digest, size: reader.size)]
    }
    return ProtoStatBlobResponse.with { response in
      response.chunks = chunks.map { chunk in
        .with {
          $0.digest = Data(chunk.digest.bytes)
          $0.size = chunk.size
        }
      }
    }
  }

  private func read(
    _ request: ProtoReadBlobRequest
  ) async throws -> StreamingServerResponse<[UInt8]> {
    let digest = try B3Digest(wire: request.digest)
    guard let reader = try await blobs.openRead(digest) else { throw Self.notFound(digest) }
    let messageSize = messageSize
    return StreamingServerResponse { writer in
      try await withStatus {
        var offset: UInt64 = 0
        while offset < reader.size {
          let bytes = try await reader.read(at: offset, count: messageSize)
          // A reader that gives less than its size must not look like a short blob.
          guard !bytes.isEmpty else {
            throw ServiceError(.corrupt, "blob \(digest) ends at \(offset) of \(reader.size) bytes")
          }
          offset += UInt64(bytes.count)
          try await writer.write(bytes)
        }
      }
      return [:]
    }
  }

  private func put(
    _ messages: RPCAsyncSequence<[UInt8], any Error>
  ) async throws -> ProtoPutBlobResponse {
    let writer = try await blobs.openWrite()
    do {
      for try await bytes in messages where !bytes.isEmpty {
        try await writer.write(bytes)
      }
      let digest = try await writer.close()
      return .with { $0.digest = Data(digest.bytes) }
    } catch {
      await writer.abandon()
      throw error
    }
  }

  private static func notFound(_ digest: B3Digest) -> RPCError {
    RPCError(code: .notFound, message: "blob \(digest) not found")
  }
}

extension B3Digest {
  /// Takes the digest from a request.
  init(wire bytes: Data) throws(RPCError) {
    do {
      self = try B3Digest(bytes: [UInt8](bytes))
    } catch {
      throw RPCError(
        code: .invalidArgument,
        message: "invalid digest length: \(bytes.count) bytes instead of \(B3Digest.byteCount)"
      )
    }
  }
}
