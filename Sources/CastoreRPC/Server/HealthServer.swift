import CastoreProtos
package import GRPCCore
import SwiftProtobuf

/// Serves `grpc.health.v1.Health`.
package struct HealthServer: RegistrableRPCService {
  /// The service's full name.
  package static let name = "grpc.health.v1.Health"

  private let state: HealthState

  /// Tells what `state` says.
  package init(_ state: HealthState) {
    self.state = state
  }

  package func registerMethods<Transport: ServerTransport>(
    with router: inout RPCRouter<Transport>
  ) {
    let state = state
    let codecs = (
      ProtobufCodec<ProtoHealthCheckRequest>(), ProtobufCodec<ProtoHealthCheckResponse>()
    )
    router.registerHandler(
      forMethod: MethodDescriptor(fullyQualifiedService: Self.name, method: "Check"),
      deserializer: codecs.0,
      serializer: codecs.1
    ) { request, _ in
      let service = try await request.single.service
      guard let isServing = state.isServing(service) else {
        throw RPCError(code: .notFound, message: "no service \"\(service)\" here")
      }
      return StreamingServerResponse(
        single: ServerResponse(message: .with { $0.status = isServing ? .serving : .notServing })
      )
    }
    router.registerHandler(
      forMethod: MethodDescriptor(fullyQualifiedService: Self.name, method: "Watch"),
      deserializer: codecs.0,
      serializer: codecs.1
    ) { request, context in
      let service = try await request.single.service
      let isKnown = state.isServing(service) != nil
      return StreamingServerResponse { writer in
        for await isServing in state.watch() {
          let status: ProtoHealthCheckResponse.ServingStatus =
            isKnown ? (isServing ? .serving : .notServing) : .serviceUnknown
          try await writer.write(.with { $0.status = status })
        }
        return [:]
      }
    }
  }
}
