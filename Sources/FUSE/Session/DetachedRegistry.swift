internal import Glibc
internal import Platform

/// The detached replies of a session that are not answered yet.
final class DetachedRegistry: Sendable {
  private struct State {
    var open: [ObjectIdentifier: DetachedState] = [:]
    /// Requests whose interrupt came before they were detached, oldest first. Ids of requests are
    /// never used twice, so one that was answered in the meantime only wastes its place.
    var early: [UInt64] = []
  }

  private let state = Guarded(State())
  private static let earlyLimit = 256

  func add(_ reply: DetachedState) {
    let interrupted = state.withLock { state in
      state.open[ObjectIdentifier(reply)] = reply
      guard let index = state.early.firstIndex(of: reply.unique) else { return false }
      state.early.remove(at: index)
      return true
    }
    if interrupted { reply.interrupt(with: EINTR) }
  }

  func remove(_ reply: DetachedState) {
    _ = state.withLock { $0.open.removeValue(forKey: ObjectIdentifier(reply)) }
  }

  /// Interrupts a request, at once or as soon as it is detached.
  func interrupt(_ unique: UInt64) {
    let victim = state.withLock { state in
      if let victim = state.open.values.first(where: { $0.unique == unique }) {
        return victim as DetachedState?
      }
      // Either another thread has not come to detach it yet, or it is answered at once anyway.
      if state.early.count == Self.earlyLimit { state.early.removeFirst() }
      state.early.append(unique)
      return nil
    }
    victim?.interrupt(with: EINTR)
  }

  var count: Int { state.withLock { $0.open.count } }

  /// Answers all with an error, and returns when no reply is on its way any more.
  ///
  /// No request may be handled meanwhile.
  func failAll(with error: CInt) {
    let all = state.withLock { Array($0.open.values) }
    for reply in all { reply.interrupt(with: error) }
    // What is left was claimed by its owner, which is inside of one system call.
    while count > 0 { usleep(200) }
  }
}
