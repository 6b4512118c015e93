internal import Platform

/// Threads for work that blocks, so that it does not hold up Swift's cooperative pool.
package final class BlockingPool: Sendable {
  /// The pool of the process. Its threads stay.
  package static let shared = BlockingPool(limit: 16)

  private struct State {
    var jobs: [@Sendable () -> Void] = []
    var idle = 0
    var threads = 0
  }

  private let state = Monitor(State())
  private let limit: Int

  init(limit: Int) {
    self.limit = limit
  }

  /// Runs `body` on a thread of the pool.
  package func run<Value: Sendable>(
    _ body: @escaping @Sendable () throws(ServiceError) -> Value
  ) async throws(ServiceError) -> Value {
    let result: Result<Value, ServiceError> = await withCheckedContinuation { continuation in
      submit {
        do throws(ServiceError) {
          continuation.resume(returning: .success(try body()))
        } catch {
          continuation.resume(returning: .failure(error))
        }
      }
    }
    return try result.get()
  }

  private func submit(_ job: @escaping @Sendable () -> Void) {
    let needsThread = state.withLock { state in
      state.jobs.append(job)
      let isNeeded = state.idle < state.jobs.count && state.threads < limit
      if isNeeded { state.threads += 1 }
      return isNeeded
    }
    state.notifyAll()
    if !needsThread { return }
    do throws(Errno) {
      _ = try NativeThread(name: "blocking") { self.work() }
    } catch {
      // Without any thread the job would wait for ever: do it here.
      let orphan = state.withLock { state -> (@Sendable () -> Void)? in
        state.threads -= 1
        return state.threads == 0 ? state.jobs.popLast() : nil
      }
      orphan?()
    }
  }

  private func work() {
    while true {
      state.withLock { $0.idle += 1 }
      let job = state.withLock(waitingWhile: { $0.jobs.isEmpty }) { state in
        state.idle -= 1
        return state.jobs.removeFirst()
      }
      job()
    }
  }
}
