import Platform

/// Hands elements from one task to another, a few at a time: whoever is faster waits.
///
/// For one sender and one receiver.
final class BoundedPipe<Element: Sendable>: Sendable {
  private struct State {
    var elements: [Element] = []
    var end: Result<Void, any Error>?
    // Whether the receiver knows of the end.
    var isAtEnd = false
    var isClosed = false
    var sender: Waiter?
    var receiver: Waiter?
  }

  private struct Waiter {
    var continuation: CheckedContinuation<Void, Never>
    var since: ContinuousClock.Instant

    var elapsed: Duration { since.duration(to: .now) }
  }

  private enum Side {
    case sender
    case receiver
  }

  private let capacity: Int
  private let state = Guarded(State())

  /// Makes a pipe that holds so many elements.
  init(capacity: Int) {
    precondition(capacity > 0, "a pipe holds at least one element")
    self.capacity = capacity
  }

  /// Adds an element, when there is room.
  ///
  /// - Returns: `false` where nobody will receive it, or the task was cancelled.
  func send(_ element: Element) async -> Bool {
    while true {
      let waiter: Waiter?
      switch offer(element) {
      case .refused: return false
      case .full:
        if Task.isCancelled { return false }
        await wait(as: .sender)
        continue
      case .taken(let receiver): waiter = receiver
      }
      waiter?.continuation.resume()
      return true
    }
  }

  private enum Offer {
    case taken(Waiter?)
    case full
    case refused
  }

  private func offer(_ element: Element) -> Offer {
    state.withLock { state in
      if state.isClosed || state.end != nil { return .refused }
      guard state.elements.count < capacity else { return .full }
      state.elements.append(element)
      return .taken(state.receiver.take())
    }
  }

  /// Says that no more elements come, and why. Does nothing the second time.
  func finish(_ end: Result<Void, any Error>) {
    let waiters = state.withLock { state in
      if state.end == nil { state.end = end }
      return [state.receiver.take(), state.sender.take()]
    }
    for case let waiter? in waiters { waiter.continuation.resume() }
  }

  /// Says that what was sent is not to be used, and drops what was not received yet; also after `finish`.
  ///
  /// - Returns: `false` where it is too late: the receiver knows of another end, or closed the pipe.
  func fail(_ error: any Error) -> Bool {
    let (isInTime, waiters) = state.withLock { state in
      if state.isClosed || state.isAtEnd { return (false, [Waiter?]()) }
      state.elements = []
      state.end = .failure(error)
      return (true, [state.receiver.take(), state.sender.take()])
    }
    for case let waiter? in waiters { waiter.continuation.resume() }
    return isInTime
  }

  /// Takes the next element, when there is one; `nil` after the last.
  func next() async throws -> Element? {
    while true {
      try Task.checkCancellation()
      let (outcome, sender) = state.withLock { state -> (Result<Element?, any Error>?, Waiter?) in
        if !state.elements.isEmpty {
          return (.success(state.elements.removeFirst()), state.sender.take())
        }
        if state.isClosed { return (.success(nil), nil) }
        state.isAtEnd = state.end != nil
        return (state.end?.map { nil }, nil)
      }
      sender?.continuation.resume()
      if let outcome { return try outcome.get() }
      await wait(as: .receiver)
    }
  }

  /// Receives no more: elements that wait are dropped, and senders are refused.
  func close() {
    let waiters = state.withLock { state in
      state.isClosed = true
      state.elements = []
      return [state.receiver.take(), state.sender.take()]
    }
    for case let waiter? in waiters { waiter.continuation.resume() }
  }

  /// How long the receiver has been waiting for an element.
  var receiverWait: Duration? { state.withLock { $0.receiver }?.elapsed }

  /// How long the sender has been waiting for room.
  var senderWait: Duration? { state.withLock { $0.sender }?.elapsed }

  // Waits until the other side did something. Returns at once where that was so already, or the task
  // is cancelled; the caller looks again either way.
  private func wait(as side: Side) async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let mayWait = state.withLock { state in
          // A cancellation after this look finds the waiter, because it needs the lock for that.
          if Task.isCancelled || state.isClosed || state.end != nil { return false }
          let waiter = Waiter(continuation: continuation, since: .now)
          switch side {
          case .sender:
            guard state.elements.count >= capacity else { return false }
            state.sender = waiter
          case .receiver:
            guard state.elements.isEmpty else { return false }
            state.receiver = waiter
          }
          return true
        }
        if !mayWait { continuation.resume() }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        switch side {
        case .sender: state.sender.take()
        case .receiver: state.receiver.take()
        }
      }
      waiter?.continuation.resume()
    }
  }
}
