package import Castore
import CastoreProtos
package import GRPCCore
import SwiftProtobuf

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Serves `castore.roots.v1.RootService` over any root names; those that cannot be changed refuse it.
package struct RootServer: RegistrableRPCService {
  /// The service's full name. It has one: the protocols with two families know no roots.
  package static let name = "castore.roots.v1.RootService"

  private let roots: any RootNodes

  /// Serves names.
  package init(_ roots: any RootNodes) {
    self.roots = roots
  }

  static func method(_ name: String) -> MethodDescriptor {
    MethodDescriptor(fullyQualifiedService: Self.name, method: name)
  }

  package func registerMethods<Transport: ServerTransport>(
    with router: inout RPCRouter<Transport>
  ) {
    router.registerHandler(
      forMethod: Self.method("Get"),
      deserializer: ProtobufCodec<ProtoGetRootRequest>(),
      serializer: ProtobufCodec<ProtoNode>()
    ) { request, _ in
      let answer = try await get(request.single)
      return StreamingServerResponse(single: ServerResponse(message: answer))
    }
    router.registerHandler(
      forMethod: Self.method("List"),
      deserializer: ProtobufCodec<ProtoListRootsRequest>(),
      serializer: ProtobufCodec<ProtoRoot>()
    ) { request, _ in
      _ = try await request.single
      let stream = roots.list()
      return StreamingServerResponse { writer in
        try await withStatus {
          for try await entry in stream { try await writer.write(ProtoRoot(entry)) }
        }
        return [:]
      }
    }
    router.registerHandler(
      forMethod: Self.method("Put"),
      deserializer: ProtobufCodec<ProtoPutRootRequest>(),
      serializer: ProtobufCodec<ProtoPutRootResponse>()
    ) { request, _ in
      let answer = try await put(request.single)
      return StreamingServerResponse(single: ServerResponse(message: answer))
    }
    router.registerHandler(
      forMethod: Self.method("Remove"),
      deserializer: ProtobufCodec<ProtoRemoveRootRequest>(),
      serializer: ProtobufCodec<ProtoRemoveRootResponse>()
    ) { request, _ in
      let answer = try await remove(request.single)
      return StreamingServerResponse(single: ServerResponse(message: answer))
    }
  }

  private func get(_ request: ProtoGetRootRequest) async throws -> ProtoNode {
    let name = try PathComponent(wire: request.name)
    guard let node = try await withStatus({ try await roots.node(named: name) }) else {
      throw RPCError(code: .notFound, message: "there is no root named \(name)")
    }
    return try ProtoNode(node)
  }

  private func put(_ request: ProtoPutRootRequest) async throws -> ProtoPutRootResponse {
    let name = try PathComponent(wire: request.name)
    let node: Node
    do {
      node = try request.node.node
    } catch {
      throw RPCError(
        code: .invalidArgument,
        message: "the root \(name) has no valid node: \(error)"
      )
    }
    let old = try await withStatus {
      try await registry().putRoot(name, node, replace: request.replace)
    }
    return try .with { if let old { $0.previous = try ProtoNode(old) } }
  }

  private func remove(_ request: ProtoRemoveRootRequest) async throws -> ProtoRemoveRootResponse {
    let name = try PathComponent(wire: request.name)
    let wasThere = try await withStatus { try await registry().dropRoot(name) }
    return .with { $0.removed = wasThere }
  }

  private func registry() throws -> any RootRegistry {
    guard let registry = roots as? any RootRegistry else {
      throw RPCError(code: .permissionDenied, message: "the roots of this server cannot be changed")
    }
    return registry
  }
}

extension PathComponent {
  fileprivate init(wire bytes: Data) throws(RPCError) {
    do {
      self = try PathComponent([UInt8](bytes))
    } catch {
      throw RPCError(code: .invalidArgument, message: "invalid root name: \(error)")
    }
  }
}

extension ProtoNode {
  /// A node as the protocol writes it.
  init(_ node: Node) throws {
    try self.init(serializedBytes: node.encoded())
  }

  /// The node, checked as strictly as any.
  var node: Node {
    get throws {
      let bytes: [UInt8] = try serializedBytes()
      return try Node(canonicalEncoding: bytes)
    }
  }
}

extension ProtoRoot {
  fileprivate init(_ entry: NamedNode) throws {
    self.init()
    name = Data(entry.name.bytes)
    node = try ProtoNode(entry.node)
  }
}
