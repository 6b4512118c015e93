import Castore
import Platform

/// Remembers for a short time what was not there.
final class NegativeMemory: Sendable {
  // Bounded: what is asked for may come from outside.
  private static let limit = 1 << 16

  private let duration: Duration
  private let ends = Guarded<[B3Digest: ContinuousClock.Instant]>([:])

  init(_ duration: Duration) {
    self.duration = duration
  }

  /// Whether it was missing a short time ago.
  func isMissing(_ digest: B3Digest) -> Bool {
    ends.withLock { ends in
      guard let end = ends[digest] else { return false }
      if end > .now { return true }
      ends[digest] = nil
      return false
    }
  }

  /// It is missing now.
  func remember(_ digest: B3Digest) {
    guard duration > .zero else { return }
    ends.withLock { ends in
      if ends.count >= Self.limit { ends.removeAll(keepingCapacity: true) }
      ends[digest] = .now + duration
    }
  }

  /// It is there now.
  func forget(_ digest: B3Digest) {
    ends.withLock { $0[digest] = nil }
  }
}
