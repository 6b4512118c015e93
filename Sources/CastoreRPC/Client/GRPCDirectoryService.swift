package import Castore
import CastoreProtos
import GRPCCore

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// The directories of a gRPC server.
///
/// What it gives out is canonical and what its digest names, or an error that names the server.
package final class GRPCDirectoryService: Castore.DirectoryService {
  private let peer: GRPCPeer
  private let family: FamilyChoice

  /// Uses a connection.
  package init(_ peer: GRPCPeer) {
    self.peer = peer
    // Asks for nothing, which is refused by whoever understands it.
    family = FamilyChoice { [peer] family in
      let stream = Self.stream(ProtoGetDirectoryRequest(), peer, family)
      _ = try await stream.next()
    }
  }

  package func get(_ digest: B3Digest) async throws(ServiceError) -> Directory? {
    try await peer.perform("reading directory \(digest)") {
      do {
        let stream = try await stream(digest, isRecursive: false)
        guard let bytes = try await stream.next() else {
          throw ServiceError(.corrupt, "\(peer.name): sent nothing for directory \(digest)")
        }
        return try DirectoryCheck(peer: peer.name).decode(bytes, expecting: digest)
      } catch let error as RPCError where error.code == .notFound {
        return nil
      }
    }
  }

  /// Streams a tree, in one call. Begins again, past what was given out, where the connection breaks.
  package func getRecursive(_ root: B3Digest) -> AsyncThrowingStream<Directory, any Error> {
    let walk = DirectoryWalk(from: root, peer: peer) { [self] in
      try await stream(root, isRecursive: true)
    }
    return AsyncThrowingStream { try await walk.next() }
  }

  /// Stores one directory.
  ///
  /// The protocol takes whole trees only, so what lies below must be on the server already, and is sent
  /// once more.
  package func put(_ directory: Directory) async throws(ServiceError) -> B3Digest {
    var below: [Directory] = []
    var seen: Set<B3Digest> = []
    for case .directory(let child, _) in directory.entries.map(\.node) where !seen.contains(child) {
      var tree: [Directory] = []
      do {
        for try await found in getRecursive(child) where seen.insert(found.digest).inserted {
          tree.append(found)
        }
      } catch {
        throw ServiceError(error, action: "reading directory \(child)", peer: peer.name)
      }
      guard seen.contains(child) else {
        throw ServiceError(
          .unsupported,
          "\(peer.name): cannot store directory \(directory.digest) without \(child), which it "
            + "refers to and the server does not have; store both as one tree"
        )
      }
      below += tree
    }
    let putter = try await putMultiple()
    for directory in Self.leavesFirst(below) { try await putter.put(directory) }
    try await putter.put(directory)
    return try await putter.close()
  }

  package func putMultiple() async throws(ServiceError) -> any DirectoryPutter {
    let family = try await peer.perform("storing directories") {
      try await self.family.family
    }
    return GRPCDirectoryPutter(peer, family: family)
  }

  private func stream(
    _ digest: B3Digest,
    isRecursive: Bool
  ) async throws -> ResponseStream<[UInt8]> {
    var request = ProtoGetDirectoryRequest()
    request.digest = Data(digest.bytes)
    request.recursive = isRecursive
    return try await Self.stream(request, peer, family.family)
  }

  private static func stream(
    _ request: ProtoGetDirectoryRequest,
    _ peer: GRPCPeer,
    _ family: WireFamily
  ) -> ResponseStream<[UInt8]> {
    ResponseStream(
      peer,
      WireService.directories.method("Get", in: family),
      request,
      writing: ProtobufCodec(),
      reading: DirectoryCodec()
    )
  }

  // Orders directories so that each comes after all that it refers to.
  private static func leavesFirst(_ directories: [Directory]) -> [Directory] {
    var byDigest: [B3Digest: Directory] = [:]
    for directory in directories { byDigest[directory.digest] = directory }
    var ordered: [Directory] = []
    var pending: [(digest: B3Digest, isExpanded: Bool)] = directories.reversed().map {
      ($0.digest, false)
    }
    while let (digest, isExpanded) = pending.popLast() {
      guard let directory = byDigest[digest] else { continue }
      if isExpanded {
        byDigest[digest] = nil
        ordered.append(directory)
        continue
      }
      pending.append((digest, true))
      for case .directory(let child, _) in directory.entries.map(\.node) {
        pending.append((child, false))
      }
    }
    return ordered
  }
}

/// Reads directories that came from a server.
struct DirectoryCheck: Sendable {
  /// The server's address.
  var peer: String

  /// Reads a directory, and refuses one that is not canonical, or not the one of that digest.
  func decode(_ bytes: [UInt8], expecting digest: B3Digest) throws(ServiceError) -> Directory {
    let actual = B3Digest(hashing: bytes)
    guard actual == digest else {
      throw ServiceError(.corrupt, "\(peer): asked for directory \(digest), got \(actual)")
    }
    return try decode(bytes)
  }

  /// Reads a directory, and refuses one that is not canonical.
  func decode(_ bytes: [UInt8]) throws(ServiceError) -> Directory {
    do throws(DirectoryError) {
      return try Directory(canonicalEncoding: bytes)
    } catch {
      throw ServiceError(.corrupt, "\(peer): sent a directory that is none: \(error)")
    }
  }
}
