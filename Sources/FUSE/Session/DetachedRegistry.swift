internal import Glibc
internal import Platform

/// The detached replies of a session that are not answered yet.
final class DetachedRegistry: Sendable {
  private let open = Guarded<[ObjectIdentifier: DetachedState]>([:])

  func add(_ reply: DetachedState) {
    open.withLock { $0[ObjectIdentifier(reply)] = reply }
  }

  func remove(_ reply: DetachedState) {
    _ = open.withLock { $0.removeValue(forKey: ObjectIdentifier(reply)) }
  }

  /// Interrupts a request.
  ///
  /// Only for a caller that dies of its signal or was asked to end: others would see errors that files
  /// never give. A handled signal during a page fault would even turn into SIGBUS.
  ///
  /// - Returns: False if the request goes on, or is not detached (yet): ask again later.
  func interrupt(_ unique: UInt64) -> Bool {
    let victim = open.withLock { $0.values.first { $0.unique == unique } }
    guard let victim, Signals.areDeadly(to: victim.callerThread) else { return false }
    victim.interrupt(with: EINTR)
    return true
  }

  var count: Int { open.withLock { $0.count } }

  /// Answers all with an error, or those of one channel, and returns when none of their replies is on its
  /// way any more.
  ///
  /// No request of theirs may be handled meanwhile.
  func failAll(with error: CInt, on channel: (any ReplyChannel)? = nil) {
    func isMeant(_ reply: DetachedState) -> Bool { channel == nil || reply.channel === channel }
    let all = open.withLock { $0.values.filter(isMeant) }
    for reply in all { reply.interrupt(with: error) }
    // What is left was claimed by its owner, which is inside of one system call.
    while open.withLock({ $0.values.contains(where: isMeant) }) { usleep(200) }
  }
}
