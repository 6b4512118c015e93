internal import Glibc
internal import Platform
internal import Synchronization

/// What a detached reply shares with the session: who may answer, and whom to tell when nobody waits.
final class DetachedState: Sendable {
  let channel: any ReplyChannel
  let session: Session
  let unique: UInt64
  let callerThread: UInt32
  let token: UInt
  let capacity: Int
  let limit: Int
  let wantsEntries: Bool
  private let claimed = Atomic(false)
  private let interruption = Guarded(Interruption.unset)

  private enum Interruption {
    case unset
    case handler(@Sendable () -> Void)
    case interrupted
  }

  init(
    channel: any ReplyChannel,
    session: Session,
    unique: UInt64,
    callerThread: UInt32,
    token: UInt,
    capacity: Int,
    limit: Int,
    wantsEntries: Bool
  ) {
    self.channel = channel
    self.session = session
    self.unique = unique
    self.callerThread = callerThread
    self.token = token
    self.capacity = capacity
    self.limit = limit
    self.wantsEntries = wantsEntries
  }

  /// The open port for the first who asks, one that leads nowhere for all others.
  func claim() -> ReplyPort {
    let isTaken = claimed.exchange(true, ordering: .acquiringAndReleasing)
    return ReplyPort(way: isTaken ? .answered(self) : .detached(self))
  }

  /// The reply has gone out: the channel is not touched any more.
  func finished() {
    // The handler may hold what the task holds: let go of it.
    interruption.withLock { $0 = .interrupted }
    session.detached.remove(self)
  }

  /// Sets what to call on an interrupt, or calls it if there was one already.
  func setInterruptHandler(_ handler: @escaping @Sendable () -> Void) {
    let late = interruption.withLock { state in
      if case .interrupted = state { return true }
      state = .handler(handler)
      return false
    }
    // After an answer there is nothing to interrupt, cancelling a task that is done is harmless.
    if late { handler() }
  }

  /// Answers with an error in place of the owner, unless it was faster, and tells it.
  func interrupt(with error: CInt) {
    let port = claim()
    guard port.isOpen else { return }
    let handler = interruption.withLock { state in
      defer { state = .interrupted }
      if case .handler(let handler) = state { return handler as (@Sendable () -> Void)? }
      return nil
    }
    port.send(error: error)
    handler?()
  }
}
