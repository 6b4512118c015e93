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
package struct DirectoryServer: RegistrableRPCService {
  private let directories: any Castore.DirectoryService
  private let closureLimit: Int

  /// Serves a service.
  ///
  /// - Parameter closureLimit: How many bytes of directories one put may bring; they are held in
  ///   memory until the whole is checked.
  package init(_ directories: any Castore.DirectoryService, closureLimit: Int = 512 << 20) {
    self.directories = directories
    self.closureLimit = closureLimit
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
    let putter = try await directories.putMultiple()
    var byteCount = 0
    var isEmpty = true
    do {
      for try await bytes in messages {
        isEmpty = false
        byteCount += bytes.count
        guard byteCount <= closureLimit else {
          throw RPCError(
            code: .resourceExhausted,
            message: "the directories of one tree exceed \(closureLimit) bytes"
          )
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
