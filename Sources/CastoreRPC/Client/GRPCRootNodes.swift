package import Castore
import CastoreProtos
import GRPCCore
import Platform
import SwiftProtobuf

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// The root names of a gRPC server of this project; other servers of the protocol have none.
package final class GRPCRootNodes: RootRegistry {
  private let peer: GRPCPeer

  /// Uses a connection.
  package init(_ peer: GRPCPeer) {
    self.peer = peer
  }

  package func node(named name: PathComponent) async throws(ServiceError) -> Node? {
    try await peer.perform("looking for root \(name)") {
      let request = ProtoGetRootRequest.with { $0.name = Data(name.bytes) }
      do {
        let answer: ProtoNode = try await call("Get", request)
        return try decode(answer, name)
      } catch let error as RPCError where error.code == .notFound {
        return nil
      }
    }
  }

  package func list() -> AsyncThrowingStream<NamedNode, any Error> {
    let stream = Guarded<ResponseStream<ProtoRoot>?>(nil)
    return AsyncThrowingStream { [self] in
      do {
        let messages = stream.withLock { stream in
          if let stream { return stream }
          let begun = ResponseStream<ProtoRoot>(
            peer,
            RootServer.method("List"),
            ProtoListRootsRequest(),
            writing: ProtobufCodec(),
            reading: ProtobufCodec()
          )
          stream = begun
          return begun
        }
        guard let root = try await messages.next() else { return nil }
        let name: PathComponent
        do {
          name = try PathComponent([UInt8](root.name))
        } catch {
          throw ServiceError(.corrupt, "\(peer.name): listed a root whose name is none: \(error)")
        }
        return NamedNode(name: name, node: try decode(root.node, name))
      } catch {
        throw ServiceError(error, action: "listing the roots", peer: peer.name)
      }
    }
  }

  package func putRoot(
    _ name: PathComponent,
    _ node: Node,
    replace: Bool
  ) async throws(ServiceError) -> Node? {
    try await peer.perform("naming root \(name)") {
      let request = try ProtoPutRootRequest.with {
        $0.name = Data(name.bytes)
        $0.node = try ProtoNode(node)
        $0.replace = replace
      }
      let answer: ProtoPutRootResponse = try await call("Put", request)
      return answer.hasPrevious ? try decode(answer.previous, name) : nil
    }
  }

  package func dropRoot(_ name: PathComponent) async throws(ServiceError) -> Bool {
    var isRepeated = false
    return try await peer.perform("removing root \(name)") {
      let request = ProtoRemoveRootRequest.with { $0.name = Data(name.bytes) }
      // A try whose answer was lost may have removed it: then it is gone because of this call.
      defer { isRepeated = true }
      let answer: ProtoRemoveRootResponse = try await call("Remove", request)
      return answer.removed || isRepeated
    }
  }

  private func call<Answer: SwiftProtobuf.Message>(
    _ method: String,
    _ request: some SwiftProtobuf.Message
  ) async throws -> Answer {
    try await peer.unary(
      RootServer.method(method),
      request,
      writing: ProtobufCodec(),
      reading: ProtobufCodec()
    )
  }

  private func decode(_ node: ProtoNode, _ name: PathComponent) throws(ServiceError) -> Node {
    do {
      return try node.node
    } catch {
      throw ServiceError(.corrupt, "\(peer.name): root \(name) has no valid node: \(error)")
    }
  }
}
