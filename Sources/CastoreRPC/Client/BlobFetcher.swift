import Castore
import CastoreProtos
import GRPCCore

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// The calls of a blob client that reading consists of.
struct BlobFetcher: Sendable {
  let peer: GRPCPeer
  let family: FamilyChoice
  let ranges: RangeClient
  let budget = StreamBudget(limit: WireLimits.idleStreams)

  init(_ peer: GRPCPeer) {
    self.peer = peer
    ranges = RangeClient(peer)
    family = FamilyChoice { [peer] family in
      _ = try await Self.stat(peer, Data(), sendChunks: false, in: family)
    }
  }

  /// Tells about a blob; `nil` where there is none.
  func stat(_ digest: B3Digest, sendChunks: Bool) async throws -> ProtoStatBlobResponse? {
    do {
      return try await Self.stat(
        peer,
        Data(digest.bytes),
        sendChunks: sendChunks,
        in: family.family
      )
    } catch let error as RPCError where error.code == .notFound {
      return nil
    }
  }

  private static func stat(
    _ peer: GRPCPeer,
    _ digest: Data,
    sendChunks: Bool,
    in family: WireFamily
  ) async throws -> ProtoStatBlobResponse {
    var request = ProtoStatBlobRequest()
    request.digest = digest
    request.sendChunks = sendChunks
    return try await peer.unary(
      WireService.blobs.method("Stat", in: family),
      request,
      writing: ProtobufCodec(),
      reading: ProtobufCodec()
    )
  }

  /// Starts to read a blob or chunk from its start.
  func stream(_ digest: B3Digest, size: UInt64?) async throws -> VerifiedBlobStream {
    var request = ProtoReadBlobRequest()
    request.digest = Data(digest.bytes)
    let messages = try await ResponseStream(
      peer,
      WireService.blobs.method("Read", in: family.family),
      request,
      writing: ProtobufCodec(),
      reading: BlobChunkCodec()
    )
    return VerifiedBlobStream(messages, of: digest, size: size, peer: peer.name)
  }

  /// Fetches all of a small blob or chunk, verified.
  func fetch(_ digest: B3Digest, size: Int) async throws -> [UInt8] {
    let stream = try await stream(digest, size: UInt64(size))
    var bytes: [UInt8] = []
    bytes.reserveCapacity(size)
    while let more = try await stream.next() { bytes += more }
    return bytes
  }
}
