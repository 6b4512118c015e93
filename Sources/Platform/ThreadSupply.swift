internal import CLinux
internal import Glibc

/// Whether there are threads and memory to be had, asked before it is too late for an error.
///
/// The cooperative pool of Swift and the event loops of NIO wait for ever, or trap, where a thread cannot be
/// started, and every allocation traps that fails.
public enum ThreadSupply {
  /// How many processors there are, which is how many threads Swift's own pool and NIO's each start.
  public static var processors: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

  /// Starts so many threads, lets them be there all at once, and ends them.
  ///
  /// Where `clone3(2)` is forbidden rather than missing, which the C library takes for final, it is made to
  /// look missing.
  ///
  /// - Throws: Why there are not as many.
  public static func require(_ count: Int) throws(Errno) {
    do throws(Errno) {
      try start(count)
    } catch {
      guard error.code == EPERM, CLinux_refuse_call(CLinux_SYS_clone3, ENOSYS) == 0 else {
        throw error
      }
      try start(count)
    }
  }

  private static func start(_ count: Int) throws(Errno) {
    let crew = ThreadCrew()
    let go = Latch<Bool>()
    defer {
      go.set(true)
      crew.joinAll()
    }
    for _ in 0..<count {
      try crew.start(name: "probe") { _ = go.wait() }
    }
  }

  /// Whether the process may have so much more address space (`ulimit -v`).
  public static func hasAddressSpace(_ size: Int) -> Bool {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0,
      limit.rlim_cur != rlim_t.max
    else { return true }
    // Counted, though nothing can be done with it.
    let place = mmap(nil, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let place, place != MAP_FAILED else { return false }
    munmap(place, size)
    return true
  }
}
