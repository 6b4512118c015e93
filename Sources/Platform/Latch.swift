internal import Glibc

// Sendable: the state is reached only under the mutex, which never moves.
/// A value that is set once and waited for: by threads, which block, and by tasks, which do not.
public final class Latch<Value: Sendable>: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var value: Value?
  private var waiting: [CheckedContinuation<Value, Never>] = []

  /// An open latch.
  public init() {
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    condition = .allocate(capacity: 1)
    condition.initialize(to: pthread_cond_t())
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
  }

  deinit {
    pthread_cond_destroy(condition)
    condition.deallocate()
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Sets the value and wakes all who wait; later calls change nothing.
  public func set(_ value: Value) {
    pthread_mutex_lock(mutex)
    if self.value == nil { self.value = value }
    let woken = waiting
    waiting = []
    let final = self.value ?? value
    pthread_cond_broadcast(condition)
    pthread_mutex_unlock(mutex)
    for continuation in woken { continuation.resume(returning: final) }
  }

  /// The value, if it is set.
  public var current: Value? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return value
  }

  /// Blocks the thread until the value is set. Never on the cooperative pool.
  public func wait() -> Value {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while true {
      if let value { return value }
      pthread_cond_wait(condition, mutex)
    }
  }

  /// Blocks the thread until the value is set or the time is over.
  public func wait(milliseconds: Int) -> Value? {
    var deadline = timespec()
    clock_gettime(CLOCK_REALTIME, &deadline)
    let nanoseconds = deadline.tv_nsec + milliseconds % 1000 * 1_000_000
    deadline.tv_sec += milliseconds / 1000 + nanoseconds / 1_000_000_000
    deadline.tv_nsec = nanoseconds % 1_000_000_000
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while value == nil {
      if pthread_cond_timedwait(condition, mutex, &deadline) == ETIMEDOUT { break }
    }
    return value
  }

  /// Suspends the task until the value is set.
  public func get() async -> Value {
    await withCheckedContinuation { continuation in
      let now: Value? = enlist(continuation)
      if let now { continuation.resume(returning: now) }
    }
  }

  private func enlist(_ continuation: CheckedContinuation<Value, Never>) -> Value? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    if value == nil { waiting.append(continuation) }
    return value
  }
}
