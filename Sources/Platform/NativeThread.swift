internal import CLinux
internal import Glibc

/// A thread of the system, for work that blocks: it never belongs on the cooperative pool.
///
/// Asynchronous signals are blocked in it, so that they reach the threads that wait for them.
public struct NativeThread: ~Copyable, Sendable {
  private let handle: pthread_t

  // The body crosses to the new thread in a box that exactly that thread releases.
  private final class Box: Sendable {
    let name: String
    let body: @Sendable () -> Void

    init(_ name: String, _ body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }

    func run() {
      // Here, not by the maker, so that the thread never runs without its name.
      _ = String(decoding: name.utf8.prefix(15), as: UTF8.self).withCString {
        pthread_setname_np(pthread_self(), $0)
      }
      body()
    }
  }

  /// Starts a thread that runs `body` once.
  ///
  /// - Parameter name: For tools like `top`; cut at 15 bytes.
  /// - Throws: `EAGAIN` if the system has no room for another.
  /// Corresponds to `pthread_create(3)`.
  public init(name: String, _ body: @escaping @Sendable () -> Void) throws(Errno) {
    let box = Unmanaged.passRetained(Box(name, body))
    var handle = pthread_t()
    var blocked = sigset_t()
    var former = sigset_t()
    sigfillset(&blocked)
    // Faults of the thread itself stay deliverable, or crashes would be silent.
    for signal in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT] {
      sigdelset(&blocked, signal)
    }
    // A new thread inherits the mask of its maker.
    pthread_sigmask(SIG_SETMASK, &blocked, &former)
    let code = pthread_create(
      &handle,
      nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      },
      box.toOpaque()
    )
    pthread_sigmask(SIG_SETMASK, &former, nil)
    guard code == 0 else {
      box.release()
      throw Errno(code)
    }
    self.handle = handle
  }

  deinit {
    pthread_detach(handle)
  }

  /// Waits for the end of the thread. Without, it goes on by itself.
  public consuming func join() {
    let handle = handle
    discard self
    pthread_join(handle, nil)
  }
}
