internal import Glibc

/// A value that only one thread at a time may touch, and whose changes others can wait for.
///
/// `Guarded` with a condition variable. Not recursive.
public final class Monitor<Value>: @unchecked Sendable {
  // Sendable: `value` is reached only between lock and unlock of `mutex`; mutex and condition live in
  // allocations of their own, which never move and last as long as the object.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var value: Value

  /// Creates the monitor around a first value.
  public init(_ value: sending Value) {
    self.value = value
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    condition = .allocate(capacity: 1)
    condition.initialize(to: pthread_cond_t())
    let codes = (pthread_mutex_init(mutex, nil), pthread_cond_init(condition, nil))
    precondition(codes == (0, 0), "locks and conditions only fail to start for lack of memory")
  }

  deinit {
    pthread_cond_destroy(condition)
    condition.deallocate()
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Runs `body` with the value while no other thread does.
  public func withLock<Result, Failure: Error>(
    _ body: (inout Value) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&value)
  }

  /// Waits for as long as a condition holds, then runs `body` without letting anybody in between.
  ///
  /// The condition is looked at again after each `notifyAll`.
  public func withLock<Result, Failure: Error>(
    waitingWhile isBlocked: (Value) -> Bool,
    _ body: (inout Value) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while isBlocked(value) { pthread_cond_wait(condition, mutex) }
    return try body(&value)
  }

  /// Wakes everybody who waits. Costs no system call where nobody does.
  public func notifyAll() {
    pthread_cond_broadcast(condition)
  }
}
