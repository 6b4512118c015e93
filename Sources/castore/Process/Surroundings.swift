import CLinux
import Castore
import Glibc
import Platform

/// What a process finds when it is started, made fit for use.
enum Surroundings {
  /// Must run before anything is opened and before there is a second thread.
  static func prepare() {
    reserveStandardDescriptors()
    // Writing to a pipe that nobody reads, or more than `ulimit -f` allows, is an error of the write.
    CLinux_disarm_signal(SIGPIPE)
    CLinux_disarm_signal(SIGXFSZ)
    raiseDescriptorLimit()
  }

  /// Makes sure that nothing else gets the numbers of standard input and output: what is closed is put
  /// something in place of that can be neither read nor written.
  private static func reserveStandardDescriptors() {
    for number: CInt in 0...2 where fcntl(number, F_GETFD) == -1 {
      // The lowest free number is taken, so that they come in order.
      let opened = open("/", CInt(CLinux_O_PATH))
      if opened > 2 { close(opened) }
    }
  }

  /// The soft limit of open files is for programs that use select(2), which this is not.
  private static func raiseDescriptorLimit() {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard getrlimit(resource, &limit) == 0 else { return }
    // Beyond that only tables grow.
    let wanted = min(limit.rlim_max, 1 << 20)
    guard limit.rlim_cur < wanted else { return }
    limit.rlim_cur = wanted
    setrlimit(resource, &limit)
  }

  /// Makes sure that the threads and the memory are there without which the runtimes below would hang or
  /// trap.
  static func requireSupplies() throws {
    // libdispatch looks there once a second which of its threads run, and traps where they do not show: also
    // in a /proc of another namespace of processes.
    guard showsThisProcess else {
      throw CommandError("/proc does not show this process; mount it: mount -t proc proc /proc")
    }
    // The main queue and its manager, the pools of Swift and NIO, and some of a command's own.
    let threads = 2 * ThreadSupply.processors + 8
    guard ThreadSupply.hasAddressSpace(addressSpace) else {
      throw CommandError(
        "there is too little memory: another \(humanBytes(UInt64(addressSpace))) of address space "
          + "cannot be had; see the limit of ulimit -v"
      )
    }
    do throws(Errno) {
      try ThreadSupply.require(threads)
    } catch {
      throw CommandError(
        "cannot start \(threads) threads: \(error); see the limits of ulimit -u, ulimit -v and pids.max"
      )
    }
  }

  private static var showsThisProcess: Bool {
    var target = [CChar](repeating: 0, count: 32)
    let count = readlink("/proc/self", &target, target.count - 1)
    let number = String(getpid())
    return count == number.utf8.count && target.starts(with: number.utf8.map { CChar($0) })
  }

  private static let addressSpace = 512 << 20
}
