import CastoreProtos
import Platform

/// Whether the server takes calls, for those who ask once and for those who want to be told.
package final class HealthState: Sendable {
  private struct State {
    var isServing = true
    var isOver = false
    var nextWatcher = 0
    var watchers: [Int: AsyncStream<Bool>.Continuation] = [:]
  }

  private let services: Set<String>
  private let state = Guarded(State())

  /// Says of these services, and of the server as a whole, that they take calls.
  package init(services: some Sequence<String>) {
    self.services = Set(services).union([""])
  }

  /// Whether a service takes calls; `nil` where there is none of that name.
  func isServing(_ service: String) -> Bool? {
    services.contains(service) ? state.withLock { $0.isServing } : nil
  }

  /// What `isServing` says now and from now on, until the server stops.
  func watch() -> AsyncStream<Bool> {
    let (stream, continuation) = AsyncStream.makeStream(
      of: Bool.self,
      bufferingPolicy: .bufferingNewest(1)
    )
    let watcher: Int? = state.withLock { state in
      continuation.yield(state.isServing)
      if state.isOver { return nil }
      state.nextWatcher += 1
      state.watchers[state.nextWatcher] = continuation
      return state.nextWatcher
    }
    guard let watcher else {
      continuation.finish()
      return stream
    }
    continuation.onTermination = { [state] _ in
      state.withLock { _ = $0.watchers.removeValue(forKey: watcher) }
    }
    return stream
  }

  /// Says that no more calls are taken, and ends all watching: it would keep the server from stopping.
  package func stop() {
    let watchers = state.withLock { state in
      state.isServing = false
      state.isOver = true
      defer { state.watchers = [:] }
      return Array(state.watchers.values)
    }
    for watcher in watchers {
      watcher.yield(false)
      watcher.finish()
    }
  }
}
