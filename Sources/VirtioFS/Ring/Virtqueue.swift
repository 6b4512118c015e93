internal import CLinux
internal import FUSE
internal import Glibc
internal import Platform
internal import Synchronization

/// A virtqueue in use: requests are taken from it by one thread and answered by any.
///
/// Made when a ring starts, given up when it stops and nothing is in flight any more. In between its
/// thread may be ended and begun anew (to change the guest's memory): what is in flight goes on.
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

  /// - Parameter base: The first request to take.
  init(
    index: Int,
    ring: SplitRing,
    base: UInt16,
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
    let again = inflight?.recover(usedIndex: usedIndex) ?? []
    // What was taken and not answered lies before the next request: the front end, which knows only the
    // answers, would have it taken twice.
    nextAvailable = again.isEmpty ? base : usedIndex &+ UInt16(truncatingIfNeeded: again.count)
    resubmitted = again.reversed()
    slots = .allocate(capacity: Int(ring.size))
    slots.initialize(repeating: Slot(), count: Int(ring.size))
    shared = Guarded(
      SharedState(
        ring: ring,
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

  var inFlight: Int { shared.withLock { $0.busyCount } }

  /// Asks for a signal through `idle`. True if nothing is in flight already.
  func awaitIdle() -> Bool {
    shared.withLock { shared in
      shared.isAwaitedIdle = shared.busyCount > 0
      return shared.busyCount == 0
    }
  }

  /// From now on answers are dropped. Requests in flight remain noted as such.
  func close() {
    shared.withLock { shared in
      shared.isClosed = true
      shared.call = nil
    }
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

  /// What the thread needs to know of the ring while it runs.
  var view: (ring: SplitRing, usesEventIndex: Bool) {
    shared.withLock { ($0.ring, $0.usesEventIndex) }
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
    slots[Int(head)].writable.removeAll()
    slots[Int(head)].memory = nil
    let wakes = shared.withLock { shared in
      let call = shared.isClosed ? nil : shared.show(head, written: UInt32(clamping: written))
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
    if wakes.resumes { wake.signal() }
  }
}

/// What the queue's thread and those who answer share.
private struct SharedState {
  var ring: SplitRing
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
  /// Set when the front end is gone: nothing is shown to it any more.
  var isClosed = false
}

extension SharedState {
  /// Writes the used element. Returns whom to tell, if the guest wants to be told.
  fileprivate mutating func show(_ head: UInt16, written: UInt32) -> Notifier? {
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
    // The caller holds the reply, and with it the slot.
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
