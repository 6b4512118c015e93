internal import Platform

/// What signals wait for a thread, from `/proc`.
enum Signals {
  /// True if the thread is about to die of a signal or was asked to end (Ctrl-C), or if it cannot be
  /// seen from here.
  static func areDeadly(to thread: UInt32) -> Bool {
    guard thread != 0, let status = try? readFile("/proc/\(thread)/status") else { return true }
    return areDeadly(status)
  }

  static func areDeadly(_ status: [UInt8]) -> Bool {
    var sets: [String: UInt64] = [:]
    for line in status.split(separator: UInt8(ascii: "\n")) {
      let fields = String(decoding: line, as: UTF8.self).split(separator: "\t")
      guard fields.count == 2, let set = UInt64(fields[1], radix: 16) else { continue }
      sets[String(fields[0])] = set
    }
    guard let own = sets["SigPnd:"], let shared = sets["ShdPnd:"] else { return true }
    // A dying group has SIGKILL set for each of its threads.
    let pending = own | shared
    if pending & bit(9) != 0 { return true }
    let spared = sets["SigBlk:", default: 0] | sets["SigIgn:", default: 0]
    let caught = sets["SigCgt:", default: 0]
    return pending & ~spared & (requestsToEnd | ~caught & ~harmless) != 0
  }

  /// Signals that stop, continue or do nothing unless they are caught: SIGCHLD, SIGCONT, SIGSTOP,
  /// SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH.
  private static let harmless =
    bit(17) | bit(18) | bit(19) | bit(20) | bit(21) | bit(22) | bit(23) | bit(28)

  /// SIGHUP, SIGINT, SIGQUIT, SIGTERM: who catches these still wants its system calls to return.
  private static let requestsToEnd = bit(1) | bit(2) | bit(3) | bit(15)

  private static func bit(_ signal: Int) -> UInt64 { 1 << UInt64(signal - 1) }
}
