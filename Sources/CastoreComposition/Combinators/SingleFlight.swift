import Platform

/// Does a thing once for all that want it at the same time.
final class SingleFlight<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  private struct Flight {
    var number: Int
    var task: Task<Void, Never>
    var promise: Promise<Value>
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
      let promise = Promise<Value>()
      // Not a child of any waiting task: each of them may be cancelled alone.
      let task = Task.detached {
        do { promise.resolve(.success(try await body())) } catch {
          promise.resolve(.failure(error))
        }
      }
      let flight = Flight(number: state.nextNumber, task: task, promise: promise, waiters: 1)
      state.flights[key] = flight
      return flight
    }
    return try await withTaskCancellationHandler {
      let value: Value
      do { value = try await flight.promise.value() } catch {
        // Others may wait for it still.
        if !Task.isCancelled { land(key, flight.number) }
        throw error
      }
      land(key, flight.number)
      return value
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
    let abandoned: Task<Void, Never>? = state.withLock { state in
      guard var flight = state.flights[key], flight.number == number else { return nil }
      flight.waiters -= 1
      state.flights[key] = flight.waiters == 0 ? nil : flight
      return flight.waiters == 0 ? flight.task : nil
    }
    abandoned?.cancel()
  }
}
