import Platform

/// Remembers for a short time what was not there.
final class NegativeMemory<Key: Hashable & Sendable>: Sendable {
  // Bounded: what is asked for may come from outside.
  private static var limit: Int { 1 << 16 }

  private let duration: Duration
  private let ends = Guarded<[Key: ContinuousClock.Instant]>([:])

  init(_ duration: Duration) {
    self.duration = duration
  }

  /// Whether it was missing a short time ago.
  func isMissing(_ key: Key) -> Bool {
    ends.withLock { ends in
      guard let end = ends[key] else { return false }
      if end > .now { return true }
      ends[key] = nil
      return false
    }
  }

  /// It is missing now.
  func remember(_ key: Key) {
    guard duration > .zero else { return }
    ends.withLock { ends in
      if ends.count >= Self.limit { ends.removeAll(keepingCapacity: true) }
      ends[key] = .now + duration
    }
  }

  /// It is there now.
  func forget(_ key: Key) {
    ends.withLock { $0[key] = nil }
  }
}
