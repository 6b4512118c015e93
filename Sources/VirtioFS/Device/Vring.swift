internal import FUSE
internal import Platform

/// One ring: what the front end said about it, and what comes of that.
///
/// Belongs to the server's thread.
final class Vring {
  let index: Int
  private(set) var settings = Settings()
  private(set) var state = State.configured(base: 0)
  /// Whether a guest has ever used it.
  private(set) var hasRun = false

  init(index: Int) {
    self.index = index
  }

  /// What the front end said.
  struct Settings {
    var size: UInt16 = 0
    var addresses: RingAddresses?
    var kick: Notifier?
    var call: Notifier?
    var error: Notifier?
    var isEnabled = false
  }

  enum State {
    /// There is no queue: the ring waits for what it needs, or was stopped.
    ///
    /// - Parameters:
    ///   - base: The next request to take.
    ///   - unanswered: Requests before it that were broken off. They are done when the ring runs again.
    case configured(base: UInt16, unanswered: [UInt16] = [])
    /// There is a queue that is not served: the ring is disabled or broken, or what it depends on changes.
    case paused(Virtqueue)
    /// The queue is served.
    case running(Virtqueue, QueueThread)
  }

  /// What rings have in common.
  struct Surroundings {
    var memory = GuestMemory.empty
    var features: VirtioFeatures?
    var inflight: InflightArea?
    let session: Session
    let configuration: VirtioFSConfiguration
  }

  var queue: Virtqueue? {
    switch state {
    case .configured: nil
    case .paused(let queue), .running(let queue, _): queue
    }
  }

  // MARK: Changing

  /// Changes what the front end said, while the ring does not run. A change that is refused, or with which the
  /// ring cannot run, changes nothing: the ring goes on as it was.
  func change(
    in surroundings: Surroundings,
    _ body: (inout Settings) throws(FrontEndFault) -> Void
  ) throws(FrontEndFault) {
    pause()
    let former = settings
    do throws(FrontEndFault) {
      try body(&settings)
      try resume(surroundings)
    } catch {
      settings = former
      try? resume(surroundings)
      throw error
    }
  }

  /// Sets where the ring begins.
  func setBase(_ base: UInt16) throws(FrontEndFault) {
    guard case .configured(let former, let unanswered) = state else {
      throw FrontEndFault("ring \(index): its base changes while it is in use")
    }
    state = .configured(base: base, unanswered: base == former ? unanswered : [])
  }

  /// Sets who is told about answers. Needs no pause.
  func setCall(_ call: Notifier?) {
    settings.call = call
    queue?.setCall(call)
  }

  /// Sets who is told about a fault. Needs no pause.
  func setError(_ error: Notifier?) {
    settings.error = error
    queue?.setError(error)
  }

  // MARK: Running

  /// Ends the thread. What is in flight goes on.
  func pause() {
    guard case .running(let queue, let thread) = state else { return }
    thread.stop()
    state = .paused(queue)
  }

  /// Lets the ring run if it can, where it lies now.
  ///
  /// - Precondition: It is paused.
  /// - Parameter waitsForMemory: True if it is no fault that the ring does not lie in memory: more may come.
  func resume(
    _ surroundings: Surroundings,
    waitsForMemory: Bool = false
  ) throws(FrontEndFault) {
    guard let features = surroundings.features, let kick = settings.kick,
      let addresses = settings.addresses, settings.size > 0
    else { return }
    guard settings.isEnabled || !features.contains(.protocolFeatures) else { return }
    let ring: SplitRing
    do throws(FrontEndFault) {
      ring = try SplitRing(size: settings.size, at: addresses, in: surroundings.memory)
    } catch {
      if waitsForMemory || surroundings.memory.regions.isEmpty { return }
      throw error
    }
    let queue: Virtqueue
    switch state {
    case .configured(let base, let unanswered):
      queue = try makeQueue(ring, base, unanswered, surroundings)
    case .paused(let paused): queue = paused
    case .running: preconditionFailure("a ring is paused before it changes")
    }
    queue.replaceRing(ring, usesEventIndex: features.contains(.eventIndex))
    state = .paused(queue)
    guard queue.fault == nil else { return }
    try start(queue, ring, features, kick, surroundings)
  }

  private func start(
    _ queue: Virtqueue,
    _ ring: SplitRing,
    _ features: VirtioFeatures,
    _ kick: Notifier,
    _ surroundings: Surroundings
  ) throws(FrontEndFault) {
    let index = index
    let onEvent = surroundings.configuration.onEvent
    do throws(Errno) {
      let thread = try QueueThread(
        queue,
        ring: ring,
        features: features,
        kick: kick,
        session: surroundings.session
      ) { onEvent?(.ringFault(queue: index, $0.description)) }
      state = .running(queue, thread)
      hasRun = true
    } catch {
      queue.stop(with: .noThread)
      throw FrontEndFault("no thread for ring \(index): \(error)")
    }
  }

  private func makeQueue(
    _ ring: SplitRing,
    _ base: UInt16,
    _ unanswered: [UInt16],
    _ surroundings: Surroundings
  ) throws(FrontEndFault) -> Virtqueue {
    var inflight: InflightTable?
    if let area = surroundings.inflight {
      inflight = area.table(ofQueue: index, size: settings.size)
      if inflight == nil {
        throw FrontEndFault(
          "ring \(index) of \(settings.size) has no place among the requests in flight"
        )
      }
    }
    do throws(Errno) {
      let queue = try Virtqueue(
        index: index,
        ring: ring,
        base: base,
        unanswered: unanswered,
        flightLimit: surroundings.configuration.maximumInFlight,
        inflight: inflight
      )
      queue.setError(settings.error)
      queue.setCall(settings.call)
      return queue
    } catch {
      throw FrontEndFault("ring \(index): \(error)")
    }
  }

  // MARK: Stopping

  /// Gives the queue up without waiting for what is in flight: it is answered by nobody now, and done again
  /// when the ring runs again.
  ///
  /// - Precondition: It is paused.
  func breakOff(in session: Session) {
    guard case .paused(let queue) = state else { return }
    let unanswered = queue.close()
    session.failDetached(on: queue)
    queue.releaseRing()
    state = .configured(base: queue.nextAvailable, unanswered: unanswered)
  }

  /// Gives the queue up. Kick and call must be given anew to start again.
  ///
  /// - Precondition: It is paused, and nothing is in flight.
  /// - Returns: The next request to take.
  func stop() -> UInt16 {
    if let queue {
      queue.close()
      queue.releaseRing()
      state = .configured(base: queue.nextAvailable)
    }
    settings.kick = nil
    settings.call = nil
    guard case .configured(let base, _) = state else {
      preconditionFailure("a ring is paused before it stops")
    }
    return base
  }

  /// Forgets all that was said about the ring.
  ///
  /// - Precondition: It is paused, and nothing is in flight.
  func reset() {
    _ = stop()
    settings = Settings()
    state = .configured(base: 0)
  }
}
