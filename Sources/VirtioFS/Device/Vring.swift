internal import FUSE
internal import Platform

/// What the front end said about one ring, and the queue that comes of it.
///
/// The ring runs when all is known that it needs, and it is enabled. Belongs to the server's thread.
struct Vring: ~Copyable {
  let index: Int
  var size: UInt16 = 0
  var addresses: RingAddressMessage?
  /// The next request to take, while there is no queue that knows better.
  var base: UInt16 = 0
  var kick: Notifier?
  var call: Notifier?
  var error: Notifier?
  var isEnabled = false
  private(set) var queue: Virtqueue?
  private var thread: QueueThread?

  init(index: Int) {
    self.index = index
  }

  /// What rings have in common.
  struct Surroundings {
    var memory = GuestMemory.empty
    var features: VirtioFeatures?
    var inflight: InflightArea?
    let session: Session
    let configuration: VirtioFSConfiguration
  }

  /// Lets the ring run if it can, and moves it to where it lies now.
  ///
  /// - Precondition: It is paused.
  /// - Parameter waitsForMemory: True if it is no fault that the ring does not lie in memory: more may come.
  mutating func resume(
    _ surroundings: Surroundings,
    waitsForMemory: Bool = false
  ) throws(FrontEndFault) {
    precondition(thread == nil, "a ring is paused before it changes")
    guard let features = surroundings.features, let kick, let addresses, size > 0 else { return }
    guard isEnabled || !features.contains(.protocolFeatures) else { return }
    let ring: SplitRing
    do throws(FrontEndFault) {
      ring = try SplitRing(size: size, at: addresses, in: surroundings.memory)
    } catch {
      if waitsForMemory || surroundings.memory.regions.isEmpty { return }
      throw error
    }
    let queue: Virtqueue
    if let former = self.queue {
      queue = former
      queue.replaceRing(ring, usesEventIndex: features.contains(.eventIndex))
    } else {
      queue = try makeQueue(ring, surroundings)
      queue.replaceRing(ring, usesEventIndex: features.contains(.eventIndex))
      queue.setError(error)
      queue.setCall(call)
      self.queue = queue
    }
    guard queue.fault == nil else { return }
    let index = index
    let onEvent = surroundings.configuration.onEvent
    do throws(Errno) {
      thread = try QueueThread(
        queue,
        kick: kick,
        session: surroundings.session,
        allowsIndirect: features.contains(.indirectDescriptors)
      ) { onEvent?(.ringFault(queue: index, $0.description)) }
    } catch {
      queue.stop(with: .noThread)
      throw FrontEndFault("no thread for ring \(index): \(error)")
    }
  }

  private func makeQueue(
    _ ring: SplitRing,
    _ surroundings: Surroundings
  ) throws(FrontEndFault) -> Virtqueue {
    var inflight: InflightTable?
    if let area = surroundings.inflight {
      inflight = area.table(ofQueue: index, size: size)
      if inflight == nil {
        throw FrontEndFault("ring \(index) of \(size) has no place among the requests in flight")
      }
    }
    do throws(Errno) {
      return try Virtqueue(
        index: index,
        ring: ring,
        base: base,
        flightLimit: surroundings.configuration.maximumInFlight,
        inflight: inflight
      )
    } catch {
      throw FrontEndFault("ring \(index): \(error)")
    }
  }

  /// Ends the thread. What is in flight goes on.
  mutating func pause() {
    thread.take()?.stop()
  }

  /// Gives up the queue. Kick and call must be given anew to start again.
  ///
  /// - Precondition: It is paused, and nothing is in flight.
  /// - Returns: The next request to take.
  mutating func stop() -> UInt16 {
    precondition(thread == nil, "a ring is paused before it stops")
    if let queue { base = queue.nextAvailable }
    queue?.close()
    queue = nil
    kick = nil
    call = nil
    return base
  }

  /// Forgets all that was said about the ring.
  mutating func reset() {
    _ = stop()
    size = 0
    addresses = nil
    base = 0
    error = nil
    isEnabled = false
  }

  mutating func setCall(_ call: Notifier?) {
    self.call = call
    queue?.setCall(call)
  }

  mutating func setError(_ error: Notifier?) {
    self.error = error
    queue?.setError(error)
  }
}
