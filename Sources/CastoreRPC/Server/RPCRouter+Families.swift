import Castore
package import GRPCCore

extension RPCRouter {
  /// Registers one handler under the names of every family.
  package mutating func register<Input: Sendable, Output: Sendable>(
    _ service: WireService,
    _ method: String,
    reading deserializer: some MessageDeserializer<Input>,
    writing serializer: some MessageSerializer<Output>,
    handler:
      @escaping @Sendable (StreamingServerRequest<Input>) async throws
      -> StreamingServerResponse<Output>
  ) {
    for family in WireFamily.allCases {
      registerHandler(
        forMethod: service.method(method, in: family),
        deserializer: deserializer,
        serializer: serializer
      ) { request, _ in
        try await withStatus { try await handler(request) }
      }
    }
  }
}

/// Runs the body of a call, and turns what a service throws into a status.
package func withStatus<Value>(_ body: () async throws -> Value) async throws -> Value {
  do {
    return try await body()
  } catch let error as ServiceError {
    throw RPCError(error)
  } catch let error as DirectoryError {
    throw RPCError(code: .internalError, message: error.description)
  }
}

extension StreamingServerRequest {
  /// The one message of a call that takes one.
  package var single: Message {
    get async throws { try await ServerRequest(stream: self).message }
  }
}
