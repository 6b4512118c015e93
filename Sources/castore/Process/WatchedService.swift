import Platform

/// A service that ends by signals, also by those that come before it has quite begun.
final class WatchedService<Service: Sendable>: Sendable {
  private struct State {
    var service: Service?
    var isToEnd = false
  }

  private let state: Guarded<State>
  private let end: @Sendable (Service, ProcessSignals.Ending) -> Void

  /// Watches from now on: to be made before the service, so that no signal leaves anything of it behind.
  ///
  /// - Parameters:
  ///   - report: See `ProcessSignals.serve`.
  ///   - end: See `ProcessSignals.serve`.
  init(
    report: @escaping @Sendable (Service) -> Void,
    end: @escaping @Sendable (Service, ProcessSignals.Ending) -> Void
  ) throws {
    let state = Guarded(State())
    self.state = state
    self.end = end
    try ProcessSignals.serve {
      if let service = state.withLock({ $0.service }) { report(service) }
    } end: { ending in
      let service = state.withLock { state in
        state.isToEnd = true
        return state.service
      }
      if let service { end(service, ending) }
    }
  }

  /// The service is there. Ends it again if a signal has come meanwhile.
  func begin(_ service: Service) {
    let isToEnd = state.withLock { state in
      state.service = service
      return state.isToEnd
    }
    if isToEnd { end(service, .gracefully) }
  }
}
