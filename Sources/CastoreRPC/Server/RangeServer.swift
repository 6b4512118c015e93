package import Castore
import CastoreProtos
package import GRPCCore
import SwiftProtobuf

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Serves `castore.ranges.v1.RangeService`: parts of blobs that are on this machine.
///
/// A long blob that is not is refused with `FAILED_PRECONDITION`: any part of it may cost all that is before
/// it, so it is read in order.
package struct RangeServer: RegistrableRPCService {
  /// The service's full name. It has one: the protocols with two families know no parts.
  package static let name = "castore.ranges.v1.RangeService"

  private let blobs: any Castore.BlobService
  private let messageSize: Int
  private let groups: GroupCache

  /// Serves a service.
  ///
  /// - Parameter messageSize: How many bytes of a blob are sent in one message.
  package init(_ blobs: any Castore.BlobService, messageSize: Int = WireLimits.blobMessage) {
    precondition(messageSize > 0, "a message holds at least one byte of a blob")
    self.blobs = blobs
    self.messageSize = messageSize
    groups = GroupCache(blobs)
  }

  static func method(_ name: String) -> MethodDescriptor {
    MethodDescriptor(fullyQualifiedService: Self.name, method: name)
  }

  package func registerMethods<Transport: ServerTransport>(
    with router: inout RPCRouter<Transport>
  ) {
    router.registerHandler(
      forMethod: Self.method("Read"),
      deserializer: ProtobufCodec<ProtoReadRangeRequest>(),
      serializer: RangeChunkCodec()
    ) { request, _ in
      try await withStatus { try await read(request.single) }
    }
    router.registerHandler(
      forMethod: Self.method("Groups"),
      deserializer: ProtobufCodec<ProtoGroupsRequest>(),
      serializer: ProtobufCodec<ProtoGroupsResponse>()
    ) { request, _ in
      let answer = try await withStatus { try await groups(request.single) }
      return StreamingServerResponse(single: ServerResponse(message: answer))
    }
  }

  private func read(
    _ request: ProtoReadRangeRequest
  ) async throws -> StreamingServerResponse<RangeChunk> {
    let digest = try B3Digest(wire: request.digest)
    guard let reader = try await blobs.openRead(digest) else { throw Self.notFound(digest) }
    let size = reader.size
    let isWhole = request.offset == 0 && request.length >= size
    if !isWhole, try !groups.isAtHand(digest) { throw Self.notAtHand(digest) }
    let start = min(request.offset, size)
    let end = start + min(request.length, size - start)
    let messageSize = messageSize
    return StreamingServerResponse { writer in
      try await withStatus {
        var offset = start
        var blobSize: UInt64? = size
        repeat {
          let count = Int(min(UInt64(messageSize), end - offset))
          let bytes = count == 0 ? [] : try await reader.read(at: offset, count: count)
          guard count == 0 || !bytes.isEmpty else {
            throw ServiceError(.corrupt, "blob \(digest) ends at \(offset) of \(size) bytes")
          }
          try await writer.write(RangeChunk(bytes: bytes, blobSize: blobSize))
          blobSize = nil
          offset += UInt64(bytes.count)
        } while offset < end
      }
      return [:]
    }
  }

  private func groups(_ request: ProtoGroupsRequest) async throws -> ProtoGroupsResponse {
    let digest = try B3Digest(wire: request.digest)
    guard try groups.isAtHand(digest) else {
      if try await blobs.has(digest) { throw Self.notAtHand(digest) }
      throw Self.notFound(digest)
    }
    guard let answer = try await groups.groups(of: digest) else {
      throw Self.notFound(digest)
    }
    return .with {
      $0.blobSize = answer.size
      $0.groupSize = answer.groups?.groupSize ?? BlobGroups.groupSize(of: answer.size)
      $0.chainingValues = Data(answer.groups?.encodedValues ?? [])
    }
  }

  private static func notFound(_ digest: B3Digest) -> RPCError {
    RPCError(code: .notFound, message: "blob \(digest) not found")
  }

  private static func notAtHand(_ digest: B3Digest) -> RPCError {
    RPCError(code: .failedPrecondition, message: "blob \(digest) can only be read in order here")
  }
}
