internal import CLinux
internal import FUSE
internal import Glibc
internal import Platform
internal import Synchronization

/// A virtqueue in use: requests are taken from it by one thread and answered by any.
///
/// Made when a ring starts, given up when it stops. In between its thread may be ended and begun anew (to
/// change the guest's memory): what is in flight goes on, until the queue is closed.
// Sendable: `nextAvailable` and `walker` are used by the queue's thread alone, or by the server's while there
// is no such thread (joined before, begun after). Slots are owned as described there.
final class Virtqueue: @unchecked Sendable {
  let index: Int
  let size: UInt16
  /// How many requests may be in flight before the thread takes no more.
  let flightLimit: Int
  /// Wakes the queue's thread: to stop, or because it may take requests again.
  let wake: Notifier
  /// Tells the server's thread, if it asked, that nothing is in flight.
  let idle: Notifier
  let isStopping = Atomic(false)
  /// Set when the ring is given up: answers that have not begun are dropped, and touch no memory.
  private let isClosed = Atomic(false)
  private let shared: Guarded<SharedState>

  /// The next request to take, as an index of the available ring.
  private(set) var nextAvailable: UInt16
  private var walker = ChainWalker()
  /// Requests to do again, last first.
  private var resubmitted: [UInt16] = []

  /// One for each descriptor that a request can begin with. A slot belongs to the queue's thread until the
  /// request is handed to the session, then to whoever holds its reply, and to the thread again when
  /// `finish` has cleared its `isBusy` under the lock.
  private let slots: UnsafeMutablePointer<Slot>

  private struct Slot {
    /// Where the reply goes.
    var writable = SegmentList()
    /// Keeps that memory mapped.
    var memory: GuestMemory?
  }

  /// - Parameters:
  ///   - base: The first request to take, unless the table of requests in flight knows better.
  ///   - unanswered: Requests before it that were taken and not answered: they are done again.
  init(
    index: Int,
    ring: SplitRing,
    base: UInt16,
    unanswered: [UInt16],
    flightLimit: Int,
    inflight: InflightTable?
  ) throws(Errno) {
    self.index = index
    size = ring.size
    self.flightLimit = flightLimit
    wake = try Notifier()
    idle = try Notifier()
    let usedIndex = ring.usedIndex
    var inflight = inflight
    let known = inflight?.recover(usedIndex: usedIndex, availableIndex: ring.availableIndex)
    if let known {
      // All that was taken is used or in flight. Front ends do not know it: some count from the answers,
      // and what is in flight would be taken twice; some from what is available, and the rest never.
      nextAvailable = usedIndex &+ UInt16(truncatingIfNeeded: known.count)
      resubmitted = known.reversed()
    } else {
      nextAvailable = base
      // If this is the ring that they belong to, and not one that a restarted guest has begun.
      let isSame = usedIndex &+ UInt16(truncatingIfNeeded: unanswered.count) == base
      resubmitted = isSame ? unanswered.reversed() : []
    }
    slots = .allocate(capacity: Int(ring.size))
    slots.initialize(repeating: Slot(), count: Int(ring.size))
    shared = Guarded(
      SharedState(
        ring: nil,
        usesEventIndex: false,
        usedIndex: usedIndex,
        inflight: inflight,
        isBusy: [Bool](repeating: false, count: Int(ring.size))
      )
    )
  }

  deinit {
    slots.deinitialize(count: Int(size))
    slots.deallocate()
  }

  // MARK: For the server's thread

  /// Moves the ring to where it lies in changed memory. The queue's thread must not run.
  func replaceRing(_ ring: SplitRing, usesEventIndex: Bool) {
    precondition(ring.size == size, "a ring in use keeps its size")
    shared.withLock { shared in
      shared.ring = ring
      shared.usesEventIndex = usesEventIndex
    }
  }

  /// Sets who is told about answers, and tells it once: an answer may have been given in between.
  func setCall(_ call: Notifier?) {
    shared.withLock { $0.call = call }
    call?.signal()
  }

  /// Sets who is told about a fault.
  func setError(_ error: Notifier?) {
    shared.withLock { $0.error = error }
  }

  var fault: RingFault? { shared.withLock { $0.fault } }

  /// Asks for a signal through `idle`. True if nothing is in flight already.
  func awaitIdle() -> Bool {
    shared.withLock { shared in
      shared.isAwaitedIdle = shared.busyCount > 0
      return shared.busyCount == 0
    }
  }

  /// From now on answers are dropped. Those that are being written may still touch memory, until the session
  /// says that no reply is on its way any more.
  ///
  /// - Returns: The requests that will not be answered. They remain noted as in flight.
  @discardableResult
  func close() -> [UInt16] {
    isClosed.store(true, ordering: .sequentiallyConsistent)
    return shared.withLock { shared in
      shared.isClosed = true
      shared.call = nil
      return shared.isBusy.indices.filter { shared.isBusy[$0] }.map { UInt16($0) }
    }
  }

  /// Lets go of the guest's memory. Nothing may be in flight, nor the thread run.
  func releaseRing() {
    shared.withLock { $0.ring = nil }
  }

  // MARK: For the queue's thread

  /// Stops taking requests for good, and says so.
  func stop(with fault: RingFault) {
    let error = shared.withLock { shared in
      if shared.fault == nil { shared.fault = fault }
      return shared.error
    }
    error?.signal()
  }

  /// What taking a request came to.
  enum Taking {
    /// There is none.
    case empty
    /// Too many are in flight: `wake` will be signalled.
    case throttled
    /// One was copied; these are the bytes of it, the room for its reply, and its token.
    case request(count: Int, capacity: Int, token: UInt)
  }

  /// Takes the next request, and copies it.
  ///
  /// - Parameter buffer: For the request; what does not fit is cut.
  func take(
    from ring: SplitRing,
    allowsIndirect: Bool,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(RingFault) -> Taking {
    guard !ring.memory.isBroken else { throw .memoryMissing }
    let head: UInt16
    let isAgain: Bool
    if let again = resubmitted.last {
      head = again
      isAgain = true
    } else {
      let available = ring.availableIndex &- nextAvailable
      guard available != 0 else { return .empty }
      guard available <= size else { throw .tooManyAvailable(available) }
      head = ring.head(at: nextAvailable)
      isAgain = false
    }
    guard head < size else { throw .headOutOfRange(head) }
    guard try reserve(head) else { return .throttled }
    let slot = slots + Int(head)
    do throws(RingFault) {
      try walker.walk(
        from: head,
        in: ring,
        allowsIndirect: allowsIndirect,
        writable: &slot.pointee.writable
      )
    } catch {
      slot.pointee.writable.removeAll()
      release(head)
      throw error
    }
    slot.pointee.memory = ring.memory
    if isAgain { resubmitted.removeLast() } else { nextAvailable &+= 1 }
    let count = walker.readable.gather(into: buffer)
    return .request(
      count: count,
      capacity: slot.pointee.writable.byteCount,
      token: UInt(head)
    )
  }

  private func reserve(_ head: UInt16) throws(RingFault) -> Bool {
    try shared.withLock { shared throws(RingFault) in
      guard shared.busyCount < flightLimit else {
        shared.isThrottled = true
        return false
      }
      guard !shared.isBusy[Int(head)] else { throw .headInUse(head) }
      shared.isBusy[Int(head)] = true
      shared.busyCount += 1
      shared.inflight?.begin(head)
      return true
    }
  }

  private func release(_ head: UInt16) {
    shared.withLock { shared in
      shared.isBusy[Int(head)] = false
      shared.busyCount -= 1
      shared.inflight?.didFinish(head, usedIndex: shared.usedIndex)
    }
  }

  // MARK: For whoever answers

  /// Hands a request back to the guest.
  ///
  /// - Parameters:
  ///   - token: That of the request, whose slot the caller owns until now.
  ///   - written: How many bytes of reply there are.
  func finish(_ token: UInt, written: Int) {
    let head = UInt16(truncatingIfNeeded: token)
    let memory = slots[Int(head)].memory
    // The guest would take what is missing for an answer.
    let isLost = memory?.isBroken ?? false
    slots[Int(head)].writable.removeAll()
    slots[Int(head)].memory = nil
    let wakes = shared.withLock { shared in
      let isShown = !shared.isClosed && !isLost
      let call = isShown ? shared.show(head, written: UInt32(clamping: written)) : nil
      shared.isBusy[Int(head)] = false
      shared.busyCount -= 1
      let isIdle = shared.isAwaitedIdle && shared.busyCount == 0
      if isIdle { shared.isAwaitedIdle = false }
      let resumes = shared.isThrottled
      shared.isThrottled = false
      return (call: call, isIdle: isIdle, resumes: resumes)
    }
    wakes.call?.signal()
    if wakes.isIdle { idle.signal() }
    // The thread finds out by itself that memory is missing.
    if wakes.resumes || memory?.isBroken ?? false { wake.signal() }
  }
}

/// What the queue's thread and those who answer share.
private struct SharedState {
  /// Nil while the queue has no thread and lets the guest's memory go.
  var ring: SplitRing?
  var usesEventIndex: Bool
  var usedIndex: UInt16
  var call: Notifier?
  var error: Notifier?
  var inflight: InflightTable?
  var isBusy: [Bool]
  var busyCount = 0
  var isThrottled = false
  var isAwaitedIdle = false
  var fault: RingFault?
  /// Nothing is shown to the guest any more.
  var isClosed = false
}

extension SharedState {
  /// Writes the used element. Returns whom to tell, if the guest wants to be told.
  fileprivate mutating func show(_ head: UInt16, written: UInt32) -> Notifier? {
    // Nil only where nothing is in flight.
    guard let ring else { return nil }
    let old = usedIndex
    usedIndex = old &+ 1
    inflight?.willFinish(head)
    ring.storeUsed(at: old, head: head, written: written)
    ring.publishUsed(usedIndex)
    // The guest first says that it wants an interrupt and then looks for answers; we the other way round.
    // Without the fence both could miss each other.
    CLinux_full_fence()
    inflight?.didFinish(head, usedIndex: usedIndex)
    guard let call else { return nil }
    if usesEventIndex {
      // Passed by this step: the event lies between the old index and the new one.
      return usedIndex &- ring.usedEvent &- 1 < usedIndex &- old ? call : nil
    }
    return ring.suppressesInterrupts ? nil : call
  }
}

extension Virtqueue: ReplyChannel {
  func send(_ header: ReplyHeader, body: UnsafeRawBufferPointer, token: UInt) -> SendResult {
    send(header, token: token) { segments, position in
      guard body.count == header.bodyCount else { return false }
      segments.scatter(body, at: position)
      return true
    }
  }

  /// Reads the file right into the guest's memory.
  func send(
    _ header: ReplyHeader,
    file: CInt,
    offset: Int64,
    scratch: UnsafeMutableRawBufferPointer,
    token: UInt
  ) -> SendResult {
    send(header, token: token) { segments, position in
      segments.read(file: file, offset: offset, count: header.bodyCount, at: position)
    }
  }

  private func send(
    _ header: ReplyHeader,
    token: UInt,
    body: (borrowing SegmentList, Int) -> Bool
  ) -> SendResult {
    // The caller holds the reply, and with it the slot. Whoever closes the queue waits for those who were
    // faster than that.
    guard !isClosed.load(ordering: .sequentiallyConsistent) else {
      finish(token, written: 0)
      return .clientGone
    }
    let slot = slots + Int(token)
    let headerSize = MemoryLayout<ReplyHeader>.size
    let capacity = slot.pointee.writable.byteCount
    guard capacity >= headerSize else {
      // Not even an error has room: the guest gets its request back without a reply.
      finish(token, written: 0)
      return .clientGone
    }
    let bodyCount = header.bodyCount
    guard bodyCount >= 0, bodyCount <= capacity - headerSize,
      body(slot.pointee.writable, headerSize)
    else { return .failed }
    withUnsafeBytes(of: header) { slot.pointee.writable.scatter($0, at: 0) }
    finish(token, written: headerSize + bodyCount)
    return .sent
  }
}
