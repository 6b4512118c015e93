/// What one thread of a transport needs to have requests handled: memory, counters, the way back.
///
/// Belongs to one thread at a time. Make one for each with `Session.makeWorker`.
public final class Worker {
  let session: Session
  let channel: any ReplyChannel
  let counters: CounterBlock
  private var memory = ScratchBuffer()

  // Of the request in hand.
  var token: UInt = 0
  var capacity = 0
  var callerThread: UInt32 = 0

  init(session: Session, channel: any ReplyChannel, counters: CounterBlock) {
    self.session = session
    self.channel = channel
    self.counters = counters
  }

  deinit {
    session.retire(counters)
  }

  func scratch(_ count: Int) -> UnsafeMutableRawBufferPointer {
    memory.reserve(count)
  }

  /// Handles one request on this thread, to its answer unless the file system detaches the reply.
  ///
  /// - Parameters:
  ///   - message: The whole request, contiguous and not changed by anyone meanwhile. May be hostile.
  ///   - replyCapacity: How many bytes the client takes as reply, header included. Requests that need
  ///     no reply are handled whatever it says.
  ///   - token: Handed to the channel with the reply.
  /// - Returns: Whether the channel gets, or got, a reply for the request.
  @discardableResult
  public func handle(
    _ message: UnsafeRawBufferPointer,
    replyCapacity: Int = Int.max,
    token: UInt = 0
  ) -> HandlingOutcome {
    self.token = token
    self.capacity = Swift.max(0, replyCapacity &- MemoryLayout<ReplyHeader>.size)
    return dispatch(message, to: session.fileSystem)
  }
}

/// Whether a request gets a reply.
public enum HandlingOutcome: Sendable {
  /// A reply was sent, or will be from a task.
  case replied
  /// The request is of a sort that is not answered (FORGET and the like).
  case noReply
  /// It is too broken to be answered: not even a header.
  case malformed
}
