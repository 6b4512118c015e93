import BLAKE3
import Castore
import CastoreProtos
import GRPCCore
import Platform
import SwiftProtobuf

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// The calls that read parts of blobs, which servers of this project offer.
final class RangeClient: Sendable {
  private let peer: GRPCPeer
  private let isRefused = Guarded(false)

  init(_ peer: GRPCPeer) {
    self.peer = peer
  }

  /// Whether the server may offer it: true until it was seen that it does not.
  var isOffered: Bool { isRefused.withLock { !$0 } }

  /// Whether an error says that this server, or of this blob, offers no parts.
  func isRefusal(_ error: any Error) -> Bool {
    guard let error = error as? RPCError else { return false }
    if error.code == .unimplemented { isRefused.withLock { $0 = true } }
    return error.code == .unimplemented || error.code == .failedPrecondition
  }

  /// Reads part of a blob, unchecked.
  ///
  /// - Returns: The bytes, as many as there are in the range, and the whole blob's length.
  func read(
    _ digest: B3Digest,
    _ range: Range<UInt64>
  ) async throws -> (bytes: [UInt8], blobSize: UInt64) {
    let request = ProtoReadRangeRequest.with {
      $0.digest = Data(digest.bytes)
      $0.offset = range.lowerBound
      $0.length = range.upperBound - range.lowerBound
    }
    let messages = ResponseStream(
      peer,
      RangeServer.method("Read"),
      request,
      writing: ProtobufCodec(),
      reading: RangeChunkCodec()
    )
    guard let first = try await messages.next(), let size = first.blobSize else {
      throw corrupt(digest, "did not tell the length")
    }
    let start = min(range.lowerBound, size)
    let expected = Int(min(range.upperBound, size) - start)
    var bytes = first.bytes
    while bytes.count < expected, let more = try await messages.next() {
      if bytes.isEmpty { bytes.reserveCapacity(expected) }
      bytes += more.bytes
    }
    guard bytes.count == expected else {
      throw corrupt(digest, "sent \(bytes.count) of \(expected) bytes")
    }
    // Lets the call come to its end: letting go of it before would break it off.
    guard try await messages.next() == nil else { throw corrupt(digest, "sent too much") }
    return (bytes, size)
  }

  /// What parts of a blob are checked by, checked itself; `nil` where there is no such blob.
  func groups(_ digest: B3Digest, size: UInt64) async throws -> BlobGroups? {
    let answer: ProtoGroupsResponse
    do {
      // The server may have to read all of the blob.
      answer = try await peer.unary(
        RangeServer.method("Groups"),
        ProtoGroupsRequest.with { $0.digest = Data(digest.bytes) },
        writing: ProtobufCodec(),
        reading: ProtobufCodec(),
        timeout: peer.options.calculationTimeout
      )
    } catch let error as RPCError where error.code == .notFound {
      return nil
    }
    guard answer.blobSize == size, size > 0,
      let values = BlobGroups.decode([UInt8](answer.chainingValues)),
      let groups = BlobGroups(
        size: size,
        groupSize: answer.groupSize,
        values: values,
        of: digest
      )
    else { throw corrupt(digest, "told of parts that do not make it up") }
    return groups
  }

  private func corrupt(_ digest: B3Digest, _ what: String) -> ServiceError {
    ServiceError(.corrupt, "\(peer.name): asked for blob \(digest), the server \(what)")
  }
}
