package import Castore
import CastoreProtos
import GRPCCore

/// The blobs of a gRPC server.
///
/// What it gives out is what the digest names, or an error that names the server. A call that may be
/// repeated is, for a bounded time, while the server cannot be reached.
package final class GRPCBlobService: Castore.BlobService {
  // Up to here a blob is fetched whole, in one round trip, and verified before it is given out.
  private static let wholeLimit = 2 << 20

  private let fetcher: BlobFetcher
  private var peer: GRPCPeer { fetcher.peer }

  /// Uses a connection.
  package init(_ peer: GRPCPeer) {
    fetcher = BlobFetcher(peer)
  }

  package func has(_ digest: B3Digest) async throws(ServiceError) -> Bool {
    try await peer.perform("looking for blob \(digest)") {
      try await fetcher.stat(digest, sendChunks: false) != nil
    }
  }

  package func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? {
    try await peer.perform("asking for the chunks of blob \(digest)") {
      guard let answer = try await fetcher.stat(digest, sendChunks: true) else { return nil }
      let chunks = try decode(answer)
      // One chunk is no division.
      return chunks.count > 1 ? chunks : []
    }
  }

  package func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? {
    try await peer.perform("opening blob \(digest)") { try await open(digest) }
  }

  package func openWrite() async throws(ServiceError) -> any BlobWriter {
    GRPCBlobWriter(peer, family: fetcher.family)
  }

  private func open(_ digest: B3Digest) async throws -> (any BlobReader)? {
    if fetcher.ranges.isOffered {
      do {
        if let reader = try await openParts(digest) { return reader }
      } catch let error as RPCError where error.code == .notFound {
        return nil
      } catch  where fetcher.ranges.isRefusal(error) {
        // The server is another one, or has the blob elsewhere.
      }
    }
    return try await openStream(digest)
  }

  // A small blob whole, and a long one by its parts; `nil` where these are too long.
  private func openParts(_ digest: B3Digest) async throws -> (any BlobReader)? {
    let (head, size) = try await fetcher.ranges.read(digest, 0..<UInt64(Self.wholeLimit))
    if size == UInt64(head.count) {
      let actual = B3Digest(hashing: head)
      guard actual == digest else {
        throw ServiceError(
          .corrupt,
          "\(peer.name): asked for blob \(digest), the server sent bytes of digest \(actual)"
        )
      }
      return BytesBlobReader(head)
    }
    guard let groups = try await fetcher.ranges.groups(digest, size: size) else {
      throw RPCError(code: .notFound, message: "the blob is gone")
    }
    return BlobPieces(digest, groups: groups).map {
      PiecewiseBlobReader($0, fetcher: fetcher, head: head)
    }
  }

  // Most blobs are small, so begin reading before asking for anything.
  private func openStream(_ digest: B3Digest) async throws -> (any BlobReader)? {
    let stream = try await fetcher.stream(digest, size: nil)
    var bytes: [UInt8] = []
    do {
      while bytes.count <= Self.wholeLimit, let more = try await stream.next() {
        if bytes.isEmpty { bytes = more } else { bytes += more }
      }
    } catch let error as RPCError where error.code == .notFound {
      return nil
    }
    if stream.isComplete { return BytesBlobReader(bytes) }

    guard let answer = try await fetcher.stat(digest, sendChunks: true) else { return nil }
    let chunks = try decode(answer)
    if chunks.count == 1, chunks[0].digest == digest, chunks[0].size > UInt64(bytes.count) {
      return StreamingBlobReader(
        digest,
        size: chunks[0].size,
        fetcher: fetcher,
        begun: (stream, bytes)
      )
    }
    if chunks.count > 1 {
      if let pieces = BlobPieces(digest, chunks: chunks) {
        return PiecewiseBlobReader(pieces, fetcher: fetcher)
      }
    }
    // The server does not say how long the blob is. To know that, all of it must be read once, which at
    // least shows that it is right.
    bytes = []
    while try await stream.next() != nil {}
    return StreamingBlobReader(digest, size: stream.position, fetcher: fetcher)
  }

  private func decode(_ answer: ProtoStatBlobResponse) throws -> [ChunkMeta] {
    try answer.chunks.map { chunk in
      guard let digest = try? B3Digest(bytes: [UInt8](chunk.digest)) else {
        throw ServiceError(
          .corrupt,
          "\(peer.name): a chunk has a digest of \(chunk.digest.count) bytes instead of 32"
        )
      }
      return ChunkMeta(digest: digest, size: chunk.size)
    }
  }
}
