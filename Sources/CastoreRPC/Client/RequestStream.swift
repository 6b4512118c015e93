import Castore
import GRPCCore
import Platform

/// A call that sends many messages and gets a digest for them; a few wait in memory.
///
/// Letting go of it before all was sent spoils the call, so that the server keeps nothing. So does cancelling the
/// task that sends or waits for the answer, which then ends in bounded time.
final class RequestStream<Message: Sendable>: Sendable {
  // How long the server may take to hear that a call is spoiled, before the call is cancelled.
  private static var spoilTimeout: Duration { .seconds(3) }

  // What is sent; finishing it with success ends the sending, with a failure spoils the call.
  private let pipe: BoundedPipe<Message>
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
            do {
              while let message = try await pipe.next() {
                try await writer.write(.message(message))
              }
              sentAll.withLock { $0 = .now }
            } catch {
              // Cancelling the call would not do: the transport (2.9.2) may tell the server of a regular
              // end before it tells of the cancellation.
              try await writer.write(.spoiler)
              sentAll.withLock { $0 = .now - limits.commitTimeout + limits.idleTimeout }
            }
          },
          descriptor: method,
          serializer: SpoilableSerializer(serializer),
          deserializer: deserializer,
          options: options
        ) { response in
          try digest(response.message)
        }
      }
    }
  }

  deinit {
    spoil()
  }

  /// Sends a message, when there is room for it.
  ///
  /// - Throws: What the server answered instead of waiting for the end, or a `CancellationError`.
  func send(_ message: Message) async throws {
    if await pipe.send(message) { return }
    if Task.isCancelled {
      await abandon()
      throw CancellationError()
    }
    _ = try await call.value
    throw RPCError(code: .internalError, message: "the server answered before the end")
  }

  /// Ends the sending, and waits for what the server answers.
  func finish() async throws -> B3Digest {
    pipe.finish(.success(()))
    return try await withTaskCancellationHandler {
      try await call.value
    } onCancel: {
      spoil()
    }
  }

  /// Makes the server refuse what it got, and waits until it has, for a short time.
  func abandon() async {
    spoil()
    _ = try? await call.value
  }

  // Where all was sent, there is nothing left to spoil, but the answer need not be waited for.
  private func spoil() {
    guard pipe.fail(CancellationError()) else { return call.cancel() }
    // Not a child of the cancelled task. A server that takes nothing does not hear of it this way.
    Task.detached { [call] in
      try? await Task.sleep(for: Self.spoilTimeout)
      call.cancel()
    }
  }
}

/// A message, or something that is none.
private enum Spoilable<Message: Sendable>: Sendable {
  case message(Message)
  case spoiler
}

private struct SpoilableSerializer<Base: MessageSerializer>: MessageSerializer
where Base.Message: Sendable {
  private let base: Base

  init(_ base: Base) { self.base = base }

  func serialize<Bytes: GRPCContiguousBytes>(_ message: Spoilable<Base.Message>) throws -> Bytes {
    switch message {
    case .message(let message): try base.serialize(message)
    // A field that is longer than the message: no decoder takes it.
    case .spoiler: Bytes([0x0a, 0x7f])
    }
  }
}
