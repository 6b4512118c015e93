import Platform

/// Lets a number of calls run at a time; the others wait their turn.
///
/// The transport takes any number, but what the server does not let in yet costs it more than linear time
/// (swift-nio-http2 walks over all waiting streams on every flush).
final class CallSlots: Sendable {
  private struct State {
    var free: Int
    var nextWaiter = 0
    // In order of arrival.
    var waiters: [(number: Int, continuation: CheckedContinuation<Bool, Never>)] = []
    var firstWaiter = 0
  }

  private let state: Guarded<State>

  /// Makes so many slots.
  init(_ count: Int) {
    state = Guarded(State(free: count))
  }

  /// Runs a call when there is a slot for it.
  ///
  /// - Throws: `CancellationError` where the task is cancelled while it waits.
  func withSlot<Value>(_ body: () async throws -> Value) async throws -> Value {
    guard await acquire() else { throw CancellationError() }
    defer { release() }
    return try await body()
  }

  /// Takes a slot, to be given back with `release`, when there is one within a time.
  func acquire(within limit: Duration) async -> Bool {
    await withTaskGroup(of: Bool.self) { group in
      group.addTask { await self.acquire() }
      group.addTask {
        try? await Task.sleep(for: limit)
        return false
      }
      var isAcquired = await group.next() ?? false
      group.cancelAll()
      // It may have come together with the end of the time.
      for await isLate in group { isAcquired = isAcquired || isLate }
      return isAcquired
    }
  }

  private func acquire() async -> Bool {
    let number: Int? = state.withLock { state in
      if state.free > 0 {
        state.free -= 1
        return nil
      }
      state.nextWaiter += 1
      return state.nextWaiter
    }
    guard let number else { return true }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let outcome: Bool? = state.withLock { state in
          // A cancellation after this look finds the waiter, because it needs the lock for that.
          if Task.isCancelled { return false }
          if state.free > 0 {
            state.free -= 1
            return true
          }
          state.waiters.append((number, continuation))
          return nil
        }
        if let outcome { continuation.resume(returning: outcome) }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        state.waiters[state.firstWaiter...].firstIndex { $0.number == number }
          .map { state.waiters.remove(at: $0) }
      }
      waiter?.continuation.resume(returning: false)
    }
  }

  /// Gives a slot back.
  func release() {
    let next: CheckedContinuation<Bool, Never>? = state.withLock { state in
      guard state.firstWaiter < state.waiters.count else {
        state.waiters = []
        state.firstWaiter = 0
        state.free += 1
        return nil
      }
      let waiter = state.waiters[state.firstWaiter]
      state.firstWaiter += 1
      if state.firstWaiter == 1024 {
        state.waiters.removeFirst(1024)
        state.firstWaiter = 0
      }
      return waiter.continuation
    }
    next?.resume(returning: true)
  }
}
