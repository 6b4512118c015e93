public import Glibc

/// A value that only one thread at a time may touch.
///
/// A pthread mutex, because `Synchronization.Mutex` of this toolchain takes priority-inheriting
/// futexes and convoys as soon as threads outnumber cores (swiftlang/swift#88440). Stands in for
/// it until the toolchain carries the fix. Not recursive: taking the lock twice on one thread
/// is a deadlock.
public final class Guarded<Value>: @unchecked Sendable {
  // Sendable: `value` is reached only between lock and unlock of `mutex`, which has memory of its own
  // and so never moves.
  @usableFromInline internal let mutex: UnsafeMutablePointer<pthread_mutex_t>
  @usableFromInline internal var value: Value

  /// Creates the guard around a first value.
  public init(_ value: sending Value) {
    self.value = value
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    let code = pthread_mutex_init(mutex, nil)
    precondition(code == 0, "pthread_mutex_init only fails for lack of memory")
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deinitialize(count: 1)
    mutex.deallocate()
  }

  /// Runs `body` with the value while no other thread does.
  ///
  /// Keep it short: no I/O, no calls out, no large allocation. Inlinable, because an unspecialised
  /// closure call would cost more than the lock.
  @inlinable
  public func withLock<Result, Failure: Error>(
    _ body: (inout Value) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&value)
  }
}
