import Castore
import GRPCCore

/// The answers to a call that streams them, taken one by one; a few wait in memory.
///
/// Letting go of it ends the call.
final class ResponseStream<Message: Sendable>: Sendable {
  // Few: what waits further back is held up by the transport's window.
  private static var capacity: Int { 2 }

  private let pipe: BoundedPipe<Message>
  private let call: Task<Void, Never>

  /// Makes the call.
  init<Request: Sendable>(
    _ peer: GRPCPeer,
    _ method: MethodDescriptor,
    _ request: Request,
    writing serializer: some MessageSerializer<Request>,
    reading deserializer: some MessageDeserializer<Message>
  ) {
    let pipe = BoundedPipe<Message>(capacity: Self.capacity)
    self.pipe = pipe
    let (client, options) = (peer.client, peer.callOptions())
    let idleTimeout = peer.options.idleTimeout
    // Not a child of the reader's task: lives as long as the stream, which ends it.
    call = Task.detached {
      let end: Result<Void, any Error>
      do {
        try await withStallGuard(idleTimeout, waited: { pipe.receiverWait }) {
          try await client.serverStreaming(
            request: ClientRequest(message: request),
            descriptor: method,
            serializer: serializer,
            deserializer: deserializer,
            options: options
          ) { response in
            for try await message in response.messages {
              guard await pipe.send(message) else { throw CancellationError() }
            }
          }
        }
        end = .success(())
      } catch {
        end = .failure(error)
      }
      pipe.finish(end)
    }
  }

  deinit {
    call.cancel()
  }

  /// The next message; `nil` after the last.
  func next() async throws -> Message? {
    try await pipe.next()
  }
}

/// Runs a call, and gives it up where somebody waits too long for its other side to do something.
///
/// - Parameter waited: How long somebody has been waiting; `nil` where nobody is.
func withStallGuard<Value: Sendable>(
  _ limit: Duration,
  waited: @escaping @Sendable () -> Duration?,
  _ call: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  try await withThrowingTaskGroup(of: Value.self) { group in
    group.addTask { try await call() }
    group.addTask {
      while true {
        try await Task.sleep(for: limit / 4)
        if let wait = waited(), wait >= limit {
          throw RPCError(code: .deadlineExceeded, message: "nothing came for \(limit)")
        }
      }
    }
    defer { group.cancelAll() }
    guard let value = try await group.next() else { throw CancellationError() }
    return value
  }
}
