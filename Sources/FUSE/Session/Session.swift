internal import Glibc
internal import Platform
internal import Synchronization

/// One client's use of a file system, over whatever transport.
///
/// A transport makes a `Worker` for each of its threads and gives it the requests; replies come back
/// through the worker's channel. When the client is gone and no worker handles a request any more, it
/// calls `finish`.
public final class Session: Sendable {
  /// What is served.
  public let fileSystem: any FileSystem
  let configuration: SessionConfiguration
  let kernel: KernelConnection?
  let detached = DetachedRegistry()
  private let state = Guarded(State())
  private let initialized = Atomic(false)

  private struct State {
    var agreement: Agreement?
    var refusal: InitRefusal?
    var blocks: [CounterBlock] = []
    var retired = [UInt64](repeating: 0, count: RequestCounts.slots)
  }

  /// A session that waits for its INIT.
  ///
  /// - Parameters:
  ///   - kernel: Handed to the file system; nil for a virtual machine.
  ///   - resuming: For a client that goes on with a session of a former server process and so
  ///     sends no INIT.
  public init(
    fileSystem: any FileSystem,
    configuration: SessionConfiguration = SessionConfiguration(),
    kernel: KernelConnection? = nil,
    resuming agreement: Agreement? = nil
  ) {
    self.fileSystem = fileSystem
    self.configuration = configuration
    self.kernel = kernel
    if let agreement {
      state.withLock { $0.agreement = agreement }
      initialized.store(true, ordering: .releasing)
    }
  }

  /// What was agreed on; nil before INIT and after DESTROY.
  public var agreement: Agreement? { state.withLock { $0.agreement } }

  /// Set when the client's INIT was refused: no session comes of it.
  var refusal: InitRefusal? { state.withLock { $0.refusal } }

  /// True once INIT is answered.
  public var isInitialized: Bool { initialized.load(ordering: .acquiring) }

  /// All requests since the session was made. Cheap for the workers, and exact once they are idle.
  public var requestCounts: RequestCounts {
    state.withLock { state in
      var sums = state.retired
      for block in state.blocks {
        for (index, value) in block.values.enumerated() { sums[index] &+= value }
      }
      return RequestCounts(sums)
    }
  }

  /// How many replies are detached and not answered.
  public var detachedCount: Int { detached.count }

  /// Makes what one thread needs to handle requests.
  public func makeWorker(channel: any ReplyChannel) -> Worker {
    let counters = CounterBlock()
    state.withLock { $0.blocks.append(counters) }
    return Worker(session: self, channel: channel, counters: counters)
  }

  /// Ends the session: answers what is still detached with an error and tells the file system.
  ///
  /// When it returns no reply is on its way, and channels may be torn down. No worker may be handling a
  /// request. Calling it again does nothing, unless the client has begun anew.
  public func finish() {
    detached.failAll(with: EIO)
    reset()
  }

  /// Answers what is still detached with an error, and goes on: for a client that comes back.
  ///
  /// When it returns no reply is on its way. No worker may be handling a request.
  public func failDetached() {
    detached.failAll(with: EIO)
  }

  /// Answers what is still detached on one channel with an error.
  ///
  /// When it returns no reply of the channel is on its way. No worker of the channel may be handling a request.
  public func failDetached(on channel: any ReplyChannel) {
    detached.failAll(with: EIO, on: channel)
  }

  func retire(_ block: CounterBlock) {
    let values = block.values
    state.withLock { state in
      state.blocks.removeAll { $0 === block }
      for (index, value) in values.enumerated() { state.retired[index] &+= value }
    }
  }

  func refuse(_ refusal: InitRefusal) {
    state.withLock { $0.refusal = refusal }
  }

  func begin(_ agreement: Agreement) {
    state.withLock { state in
      state.agreement = agreement
      state.refusal = nil
    }
    initialized.store(true, ordering: .releasing)
  }

  /// Forgets the client; true if there was one.
  func reset() {
    let had = state.withLock { state in
      defer { state.agreement = nil }
      return state.agreement != nil
    }
    initialized.store(false, ordering: .releasing)
    if had { fileSystem.destroy() }
  }
}
