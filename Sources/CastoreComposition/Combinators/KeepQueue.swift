import Platform

/// Runs work behind the back of whoever asks for it, until there is too much of it.
///
/// Many pieces run at a time, so that a store that makes each durable can do so for many at once.
final class KeepQueue: Sendable {
  private static let limit = 64

  private struct State {
    var running = 0
    var waiters: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Guarded(State())

  /// Runs work some time; waits for it where much is running already.
  func run(_ work: @escaping @Sendable () async -> Void) async {
    let isRoom = state.withLock { state in
      guard state.running < Self.limit else { return false }
      state.running += 1
      return true
    }
    guard isRoom else { return await work() }
    // Not a child of the asking task, which goes on at once.
    Task.detached { [self] in
      await work()
      done()
    }
  }

  /// Waits until nothing is running.
  func settle() async {
    await withCheckedContinuation { continuation in
      let isIdle = state.withLock { state in
        if state.running > 0 { state.waiters.append(continuation) }
        return state.running == 0
      }
      if isIdle { continuation.resume() }
    }
  }

  private func done() {
    let waiters = state.withLock { state in
      state.running -= 1
      guard state.running == 0 else { return [CheckedContinuation<Void, Never>]() }
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume() }
  }
}
