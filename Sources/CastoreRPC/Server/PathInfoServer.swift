import Castore
import CastoreProtos
package import GRPCCore
import Glibc
import NixCompat
package import NixStore
import SwiftProtobuf

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Serves `PathInfoService` over any path infos, in the packages of both families.
///
/// A put answers once the path info is durable, with what is stored: a service that signs adds
/// signatures. That the tree is there is the client's promise, by the protocol.
package struct PathInfoServer: RegistrableRPCService {
  private let infos: any PathInfoService
  private let calculator: (any NARCalculator)?
  // A calculation reads a whole tree, and keeps a processor busy.
  private let calculations = CallSlots(max(2, sysconf(Int32(_SC_NPROCESSORS_ONLN))))

  /// Serves a service.
  ///
  /// - Parameter calculator: Who computes NARs' sizes and hashes. Without one the call is
  ///   `UNIMPLEMENTED`.
  package init(_ infos: any PathInfoService, calculator: (any NARCalculator)? = nil) {
    self.infos = infos
    self.calculator = calculator
  }

  package func registerMethods<Transport: ServerTransport>(
    with router: inout RPCRouter<Transport>
  ) {
    router.register(
      .pathInfos,
      "Get",
      reading: ProtobufCodec<ProtoGetPathInfoRequest>(),
      writing: PathInfoCodec()
    ) { request in
      let answer = try await get(request.single)
      return StreamingServerResponse(single: ServerResponse(message: answer))
    }
    router.register(
      .pathInfos,
      "Put",
      reading: PathInfoCodec(),
      writing: PathInfoCodec()
    ) { request in
      let answer = try await put(request.single)
      return StreamingServerResponse(single: ServerResponse(message: answer))
    }
    router.register(
      .pathInfos,
      "CalculateNAR",
      reading: NodeCodec(),
      writing: ProtobufCodec<ProtoCalculateNARResponse>()
    ) { request in
      let summary = try await calculate(request.single)
      let answer = ProtoCalculateNARResponse.with {
        $0.narSize = summary.size
        $0.narSha256 = Data(summary.sha256.bytes)
      }
      return StreamingServerResponse(single: ServerResponse(message: answer))
    }
    router.register(
      .pathInfos,
      "List",
      reading: ProtobufCodec<ProtoListPathInfoRequest>(),
      writing: PathInfoCodec()
    ) { request in
      _ = try await request.single
      let stream = infos.list()
      return StreamingServerResponse { writer in
        try await withPathInfoStatus {
          for try await info in stream { try await writer.write(PathInfoMessage(info)) }
        }
        return [:]
      }
    }
  }

  private func get(_ request: ProtoGetPathInfoRequest) async throws -> PathInfoMessage {
    guard case .byOutputHash(let bytes) = request.byWhat else {
      throw RPCError(code: .unimplemented, message: "by_what needs to be specified")
    }
    guard let digest = StorePathDigest([UInt8](bytes)) else {
      throw RPCError(code: .invalidArgument, message: "invalid output digest length")
    }
    guard let info = try await withPathInfoStatus({ try await infos.get(digest) }) else {
      throw RPCError(code: .notFound, message: "PathInfo not found")
    }
    return PathInfoMessage(info)
  }

  private func put(_ message: PathInfoMessage) async throws -> PathInfoMessage {
    let info: PathInfo
    do throws(PathInfoError) {
      info = try PathInfo(validating: message)
    } catch {
      throw RPCError(code: .invalidArgument, message: "Invalid path info: \(error)")
    }
    return PathInfoMessage(try await infos.put(info))
  }

  private func calculate(_ bytes: [UInt8]) async throws -> NARSummary {
    let node: Node
    do throws(DirectoryError) {
      // A node with a name is none here.
      node = try Node(canonicalEncoding: bytes)
    } catch {
      throw RPCError(code: .invalidArgument, message: "invalid node: \(error)")
    }
    guard let calculator else {
      throw RPCError(code: .unimplemented, message: "this server computes no NARs")
    }
    do {
      return try await calculations.withSlot {
        // Nobody waits for the answer any more when the call is broken off.
        let task = Task { try await calculator.calculateNAR(of: node) }
        return try await withRPCCancellationHandler {
          try await withTaskCancellationHandler {
            try await task.value
          } onCancel: {
            task.cancel()
          }
        } onCancelRPC: {
          task.cancel()
        }
      }
    } catch let error as ServiceError where error.code == .corrupt {
      // The protocol knows what is missing, and calls all else internal.
      throw RPCError(code: .internalError, message: error.message)
    }
  }
}

// NOT_FOUND says that nothing is known about the store path asked for, and nothing else: what keeps a known
// one from being read is internal, except where trying again may help.
private func withPathInfoStatus<Value>(_ body: () async throws -> Value) async throws -> Value {
  do {
    return try await body()
  } catch let error as ServiceError {
    switch error.code {
    case .unavailable, .cancelled, .unsupported, .permissionDenied: throw RPCError(error)
    default: throw RPCError(code: .internalError, message: error.message)
    }
  }
}
