package import Castore
import CastoreProtos
import GRPCCore
package import NixCompat
package import NixStore
import Platform
import SwiftProtobuf

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// The path infos of a gRPC server.
///
/// What it gives out was checked by all rules and is of the store path asked for, or an error that names
/// the server. Whether the tree and the hashes belong together is the server's word; signatures tell.
package final class GRPCPathInfoService: PathInfoService {
  private let peer: GRPCPeer
  private let family: FamilyChoice

  /// Uses a connection.
  package init(_ peer: GRPCPeer) {
    self.peer = peer
    family = FamilyChoice { [peer] family in
      // A question without a valid hash is refused at once by whoever understands it.
      let request = ProtoGetPathInfoRequest.with { $0.byOutputHash = Data([0]) }
      let _: PathInfoMessage = try await peer.unary(
        WireService.pathInfos.method("Get", in: family),
        request,
        writing: ProtobufCodec(),
        reading: PathInfoCodec()
      )
    }
  }

  package func get(_ digest: StorePathDigest) async throws(ServiceError) -> PathInfo? {
    try await peer.perform("reading the path info of \(digest)") {
      let request = ProtoGetPathInfoRequest.with { $0.byOutputHash = Data(digest.bytes) }
      do {
        let message: PathInfoMessage = try await peer.unary(
          WireService.pathInfos.method("Get", in: family.family),
          request,
          writing: ProtobufCodec(),
          reading: PathInfoCodec()
        )
        let info = try check(message)
        guard info.storePath.digest == digest else {
          throw ServiceError(
            .corrupt,
            "\(peer.name): asked for the path info of \(digest), got \(info.storePath)"
          )
        }
        return info
      } catch let error as RPCError where error.code == .notFound {
        return nil
      }
    }
  }

  /// Stores a path info, and returns what the server made of it: other signatures at most.
  package func put(_ info: PathInfo) async throws(ServiceError) -> PathInfo {
    try await peer.perform("storing the path info of \(info.storePath)") {
      let message: PathInfoMessage = try await peer.unary(
        WireService.pathInfos.method("Put", in: family.family),
        PathInfoMessage(info),
        writing: PathInfoCodec(),
        reading: PathInfoCodec()
      )
      let stored = try check(message)
      var unsigned = info
      unsigned.signatures = stored.signatures
      guard stored == unsigned else {
        throw ServiceError(
          .corrupt,
          "\(peer.name): stored something else than the path info of \(info.storePath)"
        )
      }
      return stored
    }
  }

  package func list() -> AsyncThrowingStream<PathInfo, any Error> {
    let stream = Guarded<ResponseStream<PathInfoMessage>?>(nil)
    return AsyncThrowingStream { [self] in
      if let stream = stream.withLock({ $0 }) {
        do {
          return try await stream.next().map { try check($0) }
        } catch {
          throw ServiceError(error, action: "listing path infos", peer: peer.name)
        }
      }
      // Begun again only where nothing was given out yet.
      return try await peer.perform("listing path infos") {
        let begun = ResponseStream<PathInfoMessage>(
          peer,
          WireService.pathInfos.method("List", in: try await family.family),
          ProtoListPathInfoRequest(),
          writing: ProtobufCodec(),
          reading: PathInfoCodec()
        )
        let first = try await begun.next().map { try check($0) }
        stream.withLock { $0 = begun }
        return first
      }
    }
  }

  private func check(_ message: PathInfoMessage) throws(ServiceError) -> PathInfo {
    do throws(PathInfoError) {
      return try PathInfo(validating: message)
    } catch {
      throw ServiceError(.corrupt, "\(peer.name): sent a path info that is none: \(error)")
    }
  }
}

extension GRPCPathInfoService: NARCalculator {
  /// Has the server compute the size and hash of a NAR, of a tree that it has.
  package func calculateNAR(of node: Node) async throws(ServiceError) -> NARSummary {
    try await peer.perform("computing a NAR's hash") {
      // May take as long as reading the tree does.
      let answer: ProtoCalculateNARResponse = try await peer.unary(
        WireService.pathInfos.method("CalculateNAR", in: family.family),
        node.encoded(),
        writing: NodeCodec(),
        reading: ProtobufCodec(),
        timeout: peer.options.calculationTimeout
      )
      guard let hash = SHA256Digest([UInt8](answer.narSha256)) else {
        throw ServiceError(
          .corrupt,
          "\(peer.name): sent a SHA-256 of \(answer.narSha256.count) bytes"
        )
      }
      return NARSummary(size: answer.narSize, sha256: hash)
    }
  }
}
