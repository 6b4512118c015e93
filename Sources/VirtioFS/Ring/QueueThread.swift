internal import CLinux
internal import FUSE
internal import Glibc
internal import Platform
internal import Synchronization

/// Serves one virtqueue on a thread of its own.
final class QueueThread {
  private let queue: Virtqueue
  private var thread: NativeThread?

  /// Longest request: no read-only one comes near it.
  static let requestLimit = 128 << 10
  /// Longest reply; the protocol was told of less.
  static let replyLimit = 16 << 20

  /// Starts it.
  ///
  /// - Parameters:
  ///   - ring: Where the queue lies.
  ///   - kick: Signalled by the guest when there are requests.
  init(
    _ queue: Virtqueue,
    ring: SplitRing,
    features: VirtioFeatures,
    kick: Notifier,
    session: Session,
    onFault: @escaping @Sendable (RingFault) -> Void
  ) throws(Errno) {
    queue.isStopping.store(false, ordering: .relaxed)
    _ = queue.wake.consume()
    self.queue = queue
    thread = try NativeThread(name: "virtiofs-\(queue.index)") {
      let fault = Self.run(queue, ring, features, kick, session)
      if let fault {
        queue.stop(with: fault)
        onFault(fault)
      }
    }
  }

  /// Ends it: waits for the request in hand, but not for detached ones.
  func stop() {
    queue.isStopping.store(true, ordering: .relaxed)
    queue.wake.signal()
    if let thread = thread.take() { thread.join() }
  }

  private static func run(
    _ queue: Virtqueue,
    _ ring: SplitRing,
    _ features: VirtioFeatures,
    _ kick: Notifier,
    _ session: Session
  ) -> RingFault? {
    let worker = session.makeWorker(channel: queue)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: requestLimit, alignment: 16)
    defer { buffer.deallocate() }
    let usesEventIndex = features.contains(.eventIndex)
    let allowsIndirect = features.contains(.indirectDescriptors)
    do throws(RingFault) {
      while !queue.isStopping.load(ordering: .relaxed) {
        if !usesEventIndex { ring.setKicksSuppressed(true) }
        let isThrottled = try drain(queue, ring, worker, allowsIndirect, buffer)
        guard !queue.isStopping.load(ordering: .relaxed) else { break }
        if isThrottled {
          try sleep(queue, kick: nil)
          continue
        }
        // Ask for a kick first, then look once more: a request that came between would never be seen.
        if usesEventIndex {
          ring.setAvailableEvent(queue.nextAvailable)
        } else {
          ring.setKicksSuppressed(false)
        }
        CLinux_full_fence()
        if ring.availableIndex != queue.nextAvailable { continue }
        guard !ring.memory.isBroken else { break }
        try sleep(queue, kick: kick)
      }
    } catch {
      // What is missing reads as zeros, and makes no sense for that alone.
      return ring.memory.isBroken ? .memoryMissing : error
    }
    return ring.memory.isBroken ? .memoryMissing : nil
  }

  /// Handles requests until there are none. True if too many are in flight.
  private static func drain(
    _ queue: Virtqueue,
    _ ring: SplitRing,
    _ worker: Worker,
    _ allowsIndirect: Bool,
    _ buffer: UnsafeMutableRawBufferPointer
  ) throws(RingFault) -> Bool {
    while !queue.isStopping.load(ordering: .relaxed) {
      switch try queue.take(from: ring, allowsIndirect: allowsIndirect, into: buffer) {
      case .empty: return false
      case .throttled: return true
      case .request(let count, let capacity, let token):
        let outcome = worker.handle(
          UnsafeRawBufferPointer(rebasing: buffer[..<count]),
          replyCapacity: min(capacity, replyLimit),
          token: token
        )
        switch outcome {
        case .replied: break
        // The slot is still ours: nobody got a reply to send.
        case .noReply, .malformed: queue.finish(token, written: 0)
        }
      }
    }
    return false
  }

  /// Waits for a kick or for `wake`.
  private static func sleep(_ queue: Virtqueue, kick: Notifier?) throws(RingFault) {
    var files = [
      pollfd(fd: queue.wake.number, events: Int16(POLLIN), revents: 0),
      pollfd(fd: kick?.number ?? -1, events: Int16(POLLIN), revents: 0),
    ]
    while poll(&files, nfds_t(files.count), -1) == -1 {
      guard errno == EINTR else { throw .kickBroken }
    }
    if files[0].revents != 0 { queue.wake.consume() }
    guard let kick, files[1].revents != 0 else { return }
    // Hung up or not open: it would be ready for ever.
    guard files[1].revents & Int16(POLLIN) != 0, kick.consume() else { throw .kickBroken }
  }
}
