internal import Glibc
internal import Platform

/// A reply that may be kept, sent to another thread and answered later.
///
/// Dropped unanswered it answers `EIO`. If the client stops waiting first, the session has
/// answered for it, and answering does nothing.
public struct DetachedReply<Kind>: ~Copyable, Answering, Sendable {
  let state: DetachedState
  /// What the client asked for.
  public var _limit: Int { state.limit }
  /// Whether a listing is to carry attributes.
  public var _wantsEntries: Bool { state.wantsEntries }

  init(state: DetachedState) {
    self.state = state
  }

  deinit {
    state.claim().send(error: EIO)
  }

  /// Claims the right to answer. The drop that follows finds it taken.
  public consuming func _takePort() -> ReplyPort {
    state.claim()
  }
}

extension Reply {
  /// Moves the reply off the thread: it is answered from a task, which is cancelled when the client stops
  /// waiting (it is being killed, or the mount ends; a signal that it survives does not count). The client has
  /// its answer by then.
  public consuming func detach(
    priority: TaskPriority? = nil,
    _ operation: @escaping @Sendable (consuming DetachedReply<Kind>) async -> Void
  ) {
    let state = takeDetachedState()
    // Not a stray task: the session's registry holds it through the handler, and cancels it at the end.
    let task = Task.detached(priority: priority) {
      await operation(DetachedReply(state: state))
    }
    state.setInterruptHandler { task.cancel() }
  }

  private consuming func takeDetachedState() -> DetachedState {
    let state = worker._withUnsafeGuaranteedRef { worker in
      DetachedState(
        channel: worker.channel,
        session: worker.session,
        unique: unique,
        callerThread: worker.callerThread,
        token: token,
        capacity: capacity,
        limit: _limit,
        wantsEntries: _wantsEntries
      )
    }
    discard self
    state.session.detached.add(state)
    return state
  }
}
