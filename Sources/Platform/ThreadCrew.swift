/// Threads that are waited for together.
///
/// After `joinAll` they have ended and hold nothing any more: whatever their bodies captured is let go
/// of, and not at some later moment.
public final class ThreadCrew: Sendable {
  // Reached only by whoever took it out from under the lock.
  private final class Member {
    var thread: NativeThread?

    init(_ thread: consuming NativeThread) {
      self.thread = consume thread
    }
  }

  private let members = Guarded<[Member]>([])

  /// A crew without members.
  public init() {}

  /// Starts another thread that runs `body` once.
  public func start(name: String, _ body: @escaping @Sendable () -> Void) throws(Errno) {
    let thread = try NativeThread(name: name, body)
    let member = Member(thread)
    members.withLock { $0.append(member) }
  }

  /// Waits for the end of all threads. Not to be called on one of them.
  public func joinAll() {
    while let member = members.withLock({ $0.popLast() }) {
      if let thread = member.thread.take() { thread.join() }
    }
  }
}
