import Platform

/// Does a thing once for all that want it at the same time.
final class SingleFlight<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  private struct Flight {
    var number: Int
    var task: Task<Value, any Error>
    var waiters: Int
  }

  private struct State {
    var flights: [Key: Flight] = [:]
    var nextNumber = 0
  }

  private let state = Guarded(State())

  /// Does it, or waits for whoever does already. Goes on while anybody waits for it.
  func run(
    _ key: Key,
    _ body: @escaping @Sendable () async throws -> Value
  ) async throws -> Value {
    let flight = state.withLock { state in
      if var flight = state.flights[key] {
        flight.waiters += 1
        state.flights[key] = flight
        return flight
      }
      state.nextNumber += 1
      // Not a child of any waiting task: each of them may be cancelled alone.
      let flight = Flight(
        number: state.nextNumber,
        task: Task.detached { try await body() },
        waiters: 1
      )
      state.flights[key] = flight
      return flight
    }
    return try await withTaskCancellationHandler {
      defer { land(key, flight.number) }
      return try await flight.task.value
    } onCancel: {
      leave(key, flight.number)
    }
  }

  private func land(_ key: Key, _ number: Int) {
    state.withLock { state in
      if state.flights[key]?.number == number { state.flights[key] = nil }
    }
  }

  private func leave(_ key: Key, _ number: Int) {
    let abandoned: Task<Value, any Error>? = state.withLock { state in
      guard var flight = state.flights[key], flight.number == number else { return nil }
      flight.waiters -= 1
      state.flights[key] = flight.waiters == 0 ? nil : flight
      return flight.waiters == 0 ? flight.task : nil
    }
    abandoned?.cancel()
  }
}
