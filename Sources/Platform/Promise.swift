/// A result that comes once, and that any number of tasks wait for: each of them may give up alone.
///
/// Unlike the value of a task, whose waiters stay until it is there even when they are cancelled.
public final class Promise<Value: Sendable>: Sendable {
  private struct State {
    var result: Result<Value, any Error>?
    var waiters: [Int: CheckedContinuation<Value, any Error>] = [:]
    var nextWaiter = 0
  }

  private let state = Guarded(State())

  /// One that nothing has come for yet.
  public init() {}

  /// Sets the result and wakes all who wait; later calls change nothing.
  public func resolve(_ result: Result<Value, any Error>) {
    let waiters = state.withLock { state in
      if state.result == nil { state.result = result }
      defer { state.waiters = [:] }
      return state.waiters
    }
    for waiter in waiters.values { waiter.resume(with: result) }
  }

  /// Waits for the result.
  ///
  /// - Throws: A `CancellationError` as soon as the waiting task is cancelled.
  public func value() async throws -> Value {
    let number = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let result: Result<Value, any Error>? = state.withLock { state in
          if let result = state.result { return result }
          // A cancellation after this look finds the waiter, because it needs the lock for that.
          if Task.isCancelled { return .failure(CancellationError()) }
          state.waiters[number] = continuation
          return nil
        }
        if let result { continuation.resume(with: result) }
      }
    } onCancel: {
      let waiter = state.withLock { $0.waiters.removeValue(forKey: number) }
      waiter?.resume(throwing: CancellationError())
    }
  }
}
