internal import Glibc

/// Decides whether it pays to look for the next request rather than to sleep.
///
/// It does where the last sleeps were shorter than the look would have been. One that was longer ends it until
/// requests come fast again.
struct PollingBudget {
  private let limit: UInt64
  private(set) var isOpen = false

  /// - Parameter microseconds: For how long to look at most; 0 never to.
  init(microseconds: Int) {
    limit = UInt64(clamping: microseconds) &* 1000
  }

  /// Nanoseconds of the monotonic clock, which is read without a system call.
  static var now: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(truncatingIfNeeded: time.tv_sec) &* 1_000_000_000
      &+ UInt64(truncatingIfNeeded: time.tv_nsec)
  }

  /// Learns from a sleep.
  mutating func slept(since start: UInt64) {
    isOpen = Self.now &- start < limit
  }

  /// Whether the look that began then may go on.
  func lasts(since start: UInt64) -> Bool {
    Self.now &- start < limit
  }
}
