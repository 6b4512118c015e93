internal import Glibc

/// A thread of our own, outside Swift's cooperative pool, for work that blocks.
public struct JoinableThread: ~Copyable, Sendable {
  private let thread: pthread_t

  private final class Start: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  /// Starts a thread. Corresponds to `pthread_create(3)`.
  public init(_ body: @escaping @Sendable () -> Void) throws(Errno) {
    var thread = pthread_t()
    let start = Unmanaged.passRetained(Start(body))
    let code = pthread_create(
      &thread,
      nil,
      { argument in
        // The argument is the retained `Start` of below, handed over exactly once.
        guard let argument else { return nil }
        Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
        return nil
      },
      start.toOpaque()
    )
    guard code == 0 else {
      start.release()
      throw Errno(code)
    }
    self.thread = thread
  }

  /// A thread nobody joins runs on by itself.
  deinit {
    pthread_detach(thread)
  }

  /// Waits for the end of the thread. Corresponds to `pthread_join(3)`.
  public consuming func join() {
    let thread = thread
    discard self
    pthread_join(thread, nil)
  }
}
