import Castore
import GRPCCore
import Platform

/// A call that sends many messages and gets a digest for them; a few wait in memory.
///
/// Letting go of it ends the call.
final class RequestStream<Message: Sendable>: Sendable {
  /// What is sent; finishing it with success ends the sending, with a failure the call.
  let pipe: BoundedPipe<Message>
  private let call: Task<B3Digest, any Error>

  /// Makes the call.
  ///
  /// - Parameter digest: Finds the digest in the answer.
  init<Response: Sendable>(
    _ peer: GRPCPeer,
    _ method: MethodDescriptor,
    writing serializer: some MessageSerializer<Message>,
    reading deserializer: some MessageDeserializer<Response>,
    digest: @escaping @Sendable (Response) throws -> B3Digest
  ) {
    let pipe = BoundedPipe<Message>(capacity: 2)
    self.pipe = pipe
    let (client, options, limits) = (peer.client, peer.callOptions(), peer.options)
    let sentAll = Guarded<ContinuousClock.Instant?>(nil)
    // Not a child of the writer's task: lives as long as the upload, which ends it.
    call = Task.detached {
      // Whoever waits for room must not do so for ever when the call is over.
      defer { pipe.close() }
      return try await withStallGuard(
        limits.idleTimeout,
        waited: {
          if let wait = pipe.senderWait { return wait }
          // The last byte was sent: what remains has more time, all of it together.
          let wait = sentAll.withLock { $0 }?.duration(to: .now)
          return wait.flatMap { $0 >= limits.commitTimeout ? $0 : nil }
        }
      ) {
        try await client.clientStreaming(
          request: StreamingClientRequest { writer in
            while let message = try await pipe.next() { try await writer.write(message) }
            sentAll.withLock { $0 = .now }
          },
          descriptor: method,
          serializer: serializer,
          deserializer: deserializer,
          options: options
        ) { response in
          try digest(response.message)
        }
      }
    }
  }

  deinit {
    call.cancel()
  }

  /// What the server answered.
  var answer: B3Digest {
    get async throws { try await call.value }
  }

  /// Ends the call: the server is told that what it got is not to be kept.
  func cancel() {
    pipe.finish(.failure(CancellationError()))
    call.cancel()
  }

  /// Ends the call, and waits until it has.
  func abandon() async {
    cancel()
    _ = try? await call.value
  }
}
