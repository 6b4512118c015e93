internal import GRPCCore
internal import Platform

/// Counts calls by service and method.
final class CallCounter: ServerInterceptor {
  private let state = Guarded<[String: Int]>([:])

  /// How many calls have begun, under `package.Service/Method`.
  var counts: [String: Int] { state.withLock { $0 } }

  func intercept<Input: Sendable, Output: Sendable>(
    request: StreamingServerRequest<Input>,
    context: ServerContext,
    next:
      @concurrent @Sendable (StreamingServerRequest<Input>, ServerContext) async throws
      -> StreamingServerResponse<Output>
  ) async throws -> StreamingServerResponse<Output> {
    let name = context.descriptor.fullyQualifiedMethod
    state.withLock { $0[name, default: 0] += 1 }
    return try await next(request, context)
  }
}
