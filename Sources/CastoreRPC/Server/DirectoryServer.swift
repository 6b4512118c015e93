package import Castore
import CastoreProtos
package import GRPCCore
import SwiftProtobuf

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Serves `DirectoryService` over any directory service, in the packages of both families.
///
/// What a client puts is decoded strictly and checked as a whole by the service's putter: nothing of a
/// tree is kept that is not whole.
///
/// The directories of a tree are held in memory until the whole is checked. So that many clients cannot take
/// all of it, few trees are taken at a time, and of those few large ones; the others wait for them, for a time.
package struct DirectoryServer: RegistrableRPCService {
  /// How much is held in memory at the most.
  package struct Limits: Hashable, Sendable {
    /// How many bytes of directories one put may bring.
    package var tree = 512 << 20
    /// How many trees are taken at a time.
    package var trees = 64
    /// From how many bytes on a tree is a large one.
    package var largeTree = 8 << 20
    /// How many large trees are taken at a time.
    package var largeTrees = 2
    /// How long a tree waits for others.
    package var patience: Duration = .seconds(20)

    /// 1.5 GiB in all.
    package init() {}
  }

  private let directories: any Castore.DirectoryService
  private let limits: Limits
  private let trees: CallSlots
  private let largeTrees: CallSlots

  /// Serves a service.
  package init(_ directories: any Castore.DirectoryService, limits: Limits = Limits()) {
    self.directories = directories
    self.limits = limits
    trees = CallSlots(limits.trees)
    largeTrees = CallSlots(limits.largeTrees)
  }

  package func registerMethods<Transport: ServerTransport>(
    with router: inout RPCRouter<Transport>
  ) {
    router.register(
      .directories,
      "Get",
      reading: ProtobufCodec<ProtoGetDirectoryRequest>(),
      writing: DirectoryCodec()
    ) { request in
      try await get(request.single)
    }
    router.register(
      .directories,
      "Put",
      reading: DirectoryCodec(),
      writing: ProtobufCodec<ProtoPutDirectoryResponse>()
    ) { request in
      let root = try await put(request.messages)
      let answer = ProtoPutDirectoryResponse.with { $0.rootDigest = Data(root.bytes) }
      return StreamingServerResponse(single: ServerResponse(message: answer))
    }
  }

  private func get(
    _ request: ProtoGetDirectoryRequest
  ) async throws -> StreamingServerResponse<[UInt8]> {
    guard case .digest(let bytes) = request.byWhat else {
      throw RPCError(code: .invalidArgument, message: "invalid by_what: none is given")
    }
    let digest = try B3Digest(wire: bytes)
    if request.recursive {
      // A missing root is an empty stream.
      let stream = directories.getRecursive(digest)
      return StreamingServerResponse { writer in
        try await withReadStatus {
          for try await directory in stream { try await writer.write(directory.encoded()) }
        }
        return [:]
      }
    }
    let found = try await withReadStatus { try await directories.get(digest) }
    guard let directory = found else {
      throw RPCError(code: .notFound, message: "directory \(digest) not found")
    }
    return StreamingServerResponse { writer in
      try await writer.write(directory.encoded())
      return [:]
    }
  }

  private func put(_ messages: RPCAsyncSequence<[UInt8], any Error>) async throws -> B3Digest {
    try await wait(for: trees)
    defer { trees.release() }
    let putter = try await directories.putMultiple()
    var byteCount = 0
    var isEmpty = true
    var isLarge = false
    defer { if isLarge { largeTrees.release() } }
    do {
      for try await bytes in messages {
        isEmpty = false
        byteCount += bytes.count
        guard byteCount <= limits.tree else {
          throw RPCError(
            code: .resourceExhausted,
            message: "the directories of one tree exceed \(limits.tree) bytes"
          )
        }
        if byteCount > limits.largeTree, !isLarge {
          try await wait(for: largeTrees)
          isLarge = true
        }
        try await putter.put(Directory(canonicalEncoding: bytes))
      }
      guard !isEmpty else {
        throw RPCError(code: .internalError, message: "got no directories")
      }
      return try await putter.close()
    } catch let error as ServiceError where error.code == .invalidArgument {
      // The protocol calls a tree that breaks the rules an internal error.
      throw RPCError(code: .internalError, message: error.message)
    }
  }

  private func wait(for slots: CallSlots) async throws {
    guard await slots.acquire(within: limits.patience) else {
      // Whoever tries again finds the others done.
      throw RPCError(
        code: .unavailable,
        message: "the server is busy with other trees for \(limits.patience)"
      )
    }
  }
}

// Whatever keeps known directories from being read is an internal error to the protocol: NOT_FOUND says
// that the directory asked for is not there, and nothing else. That trying again may help is kept.
private func withReadStatus<Value>(_ body: () async throws -> Value) async throws -> Value {
  do {
    return try await body()
  } catch let error as ServiceError {
    switch error.code {
    case .unavailable, .cancelled, .unsupported, .permissionDenied: throw RPCError(error)
    default: throw RPCError(code: .internalError, message: error.message)
    }
  }
}
