internal import Glibc

/// Plain threads for one piece of work: the caller and, beside it, threads of its own.
///
/// Not Dispatch's pool nor Swift's: blocking reads there would keep others from running.
enum Crew {
  /// How many cores the system runs.
  static let size = max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN)))

  /// Runs `body` on up to `count` threads at once, the calling one included, and waits for all.
  ///
  /// Fewer, at least one, run it if the system gives no more threads.
  static func run(_ count: Int, _ body: @Sendable () -> Void) {
    withoutActuallyEscaping(body) { body in
      let member = Member(body)
      var threads: [pthread_t] = []
      // Signals are the program's business: its own threads keep receiving them.
      var all = sigset_t()
      var before = sigset_t()
      sigfillset(&all)
      pthread_sigmask(SIG_SETMASK, &all, &before)
      for _ in 1..<max(count, 1) {
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(member)
        guard pthread_create(&thread, nil, memberMain, argument.toOpaque()) == 0 else {
          argument.release()
          break
        }
        threads.append(thread)
      }
      pthread_sigmask(SIG_SETMASK, &before, nil)
      body()
      // Joined before the closure's scope ends: it does not escape.
      for thread in threads { pthread_join(thread, nil) }
    }
  }

  fileprivate final class Member: Sendable {
    let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) {
      self.body = body
    }
  }
}

private nonisolated func memberMain(_ argument: UnsafeMutableRawPointer?)
  -> UnsafeMutableRawPointer?
{
  guard let argument else { return nil }
  Unmanaged<Crew.Member>.fromOpaque(argument).takeRetainedValue().body()
  return nil
}
