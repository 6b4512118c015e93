internal import CLinux
internal import Platform
internal import Synchronization

/// Gives memory back to the system when the kernel has forgotten most of what it knew.
final class Shrinking: Sendable {
  /// How many nodes are not worth the effort.
  private static let floor = 8192
  private static let interval: UInt64 = 1024

  private let forgets = Atomic<UInt64>(0)
  private let peak = Guarded(0)

  /// Counts one FORGET. Looks at the number of nodes now and then, and shrinks each time it has halved.
  func forgot(count: () -> Int, shrink: () -> Void) {
    let number = forgets.add(1, ordering: .relaxed).newValue
    guard number % Self.interval == 1 else { return }
    let now = count()
    let hasHalved = peak.withLock { peak in
      if peak < Self.floor || now > peak / 2 {
        peak = max(peak, now)
        return false
      }
      peak = now
      return true
    }
    if !hasHalved { return }
    shrink()
    // What was freed in pieces stays with the process until somebody asks.
    _ = malloc_trim(0)
  }
}
