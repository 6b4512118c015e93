internal import Platform

/// The rings of a device, by index.
struct RingTable: ~Copyable {
  // Boxes: noncopyable values cannot lie in an array.
  private let boxes: [Box]

  private final class Box {
    var ring: Vring

    init(_ ring: consuming Vring) {
      self.ring = ring
    }
  }

  init(count: Int) {
    boxes = (0..<count).map { Box(Vring(index: $0)) }
  }

  var count: Int { boxes.count }

  func forEach<Failure: Error>(_ body: (inout Vring) throws(Failure) -> Void) throws(Failure) {
    for box in boxes { try body(&box.ring) }
  }

  /// Runs `body` with one ring.
  ///
  /// - Throws: If there is no such ring, or what `body` throws.
  func with<Result>(
    _ index: some FixedWidthInteger,
    _ body: (inout Vring) throws(FrontEndFault) -> Result
  ) throws(FrontEndFault) -> Result {
    guard let index = Int(exactly: index), boxes.indices.contains(index) else {
      throw FrontEndFault("ring \(index) of \(boxes.count)")
    }
    return try body(&boxes[index].ring)
  }
}

extension Device {
  /// Changes what rings have in common, while none of them runs.
  func changeRings(_ change: (inout Vring.Surroundings) -> Void) throws(Failure) {
    rings.forEach { $0.pause() }
    change(&surroundings)
    try resumeRings()
  }

  func resumeRings() throws(Failure) {
    // All that can: one that fails is no reason to stop the others.
    var fault: FrontEndFault?
    rings.forEach { ring in
      do throws(FrontEndFault) {
        // A region may go away and come back with other bounds, with a ring in it.
        try ring.resume(surroundings, waitsForMemory: true)
      } catch {
        fault = error
      }
    }
    if let fault { throw .fault(fault) }
  }

  /// Waits until nothing is in flight, on one ring or all, unless the front end goes away meanwhile.
  ///
  /// - Precondition: They are paused.
  func drain(only index: Int? = nil) throws(Failure) {
    var queues: [Virtqueue] = []
    rings.forEach { ring in
      if let queue = ring.queue, index == nil || index == ring.index { queues.append(queue) }
    }
    for queue in queues {
      while !queue.awaitIdle() {
        do throws(FrontEndConnection.Interruption) {
          try connection.wait(for: queue.idle)
        } catch {
          throw .interruption(error)
        }
      }
    }
  }

  func handleRing(
    _ request: VhostUserRequest,
    _ message: inout ReceivedMessage
  ) throws(Failure) {
    switch request {
    case .setRingSize:
      let state = try read(message, RingStateMessage.self)
      let limit = UInt32(configuration.maximumQueueSize)
      try change(state.index) { ring throws(FrontEndFault) in
        guard state.number > 0, state.number <= limit, state.number.nonzeroBitCount == 1 else {
          throw FrontEndFault("ring \(ring.index): size \(state.number), at most \(limit)")
        }
        guard ring.queue == nil || ring.size == UInt16(state.number) else {
          throw FrontEndFault("ring \(ring.index): its size changes while it is in use")
        }
        ring.size = UInt16(state.number)
      }
    case .setRingBase:
      let state = try read(message, RingStateMessage.self)
      try change(state.index) { ring throws(FrontEndFault) in
        guard let base = UInt16(exactly: state.number), ring.queue == nil else {
          throw FrontEndFault("ring \(ring.index): base \(state.number)")
        }
        ring.base = base
      }
    case .setRingAddresses:
      let addresses = try read(message, RingAddressMessage.self)
      try change(addresses.index) { ring throws(FrontEndFault) in
        guard addresses.flags == 0, addresses.descriptors % 16 == 0, addresses.available % 2 == 0,
          addresses.used % 4 == 0
        else { throw FrontEndFault("ring \(ring.index): unaligned, or to be logged") }
        ring.addresses = addresses
      }
    case .setRingEnabled:
      let state = try read(message, RingStateMessage.self)
      guard surroundings.features?.contains(.protocolFeatures) ?? true, state.number <= 1 else {
        throw .fault(FrontEndFault("ring \(state.index): enabled as \(state.number)"))
      }
      try change(state.index) { $0.isEnabled = state.number == 1 }
    case .getRingBase:
      try stopRing(try read(message, RingStateMessage.self))
    default:
      try handleRingDescriptor(request, &message)
    }
  }

  /// Changes one ring while it does not run.
  private func change(
    _ index: some FixedWidthInteger,
    _ body: (inout Vring) throws(FrontEndFault) -> Void
  ) throws(Failure) {
    let surroundings = surroundings
    try checked { () throws(FrontEndFault) in
      try rings.with(index) { ring throws(FrontEndFault) in
        ring.pause()
        // A refused change leaves the ring as it was.
        do throws(FrontEndFault) {
          try body(&ring)
        } catch {
          try? ring.resume(surroundings)
          throw error
        }
        try ring.resume(surroundings)
      }
    }
  }

  private func stopRing(_ state: RingStateMessage) throws(Failure) {
    let index = try checked { () throws(FrontEndFault) in
      try rings.with(state.index) { ring throws(FrontEndFault) in
        ring.pause()
        return ring.index
      }
    }
    try drain(only: index)
    let base = try checked { () throws(FrontEndFault) in
      try rings.with(index) { ring throws(FrontEndFault) in ring.stop() }
    }
    try reply(.getRingBase, RingStateMessage(index: state.index, number: UInt32(base)))
  }

  private func handleRingDescriptor(
    _ request: VhostUserRequest,
    _ message: inout ReceivedMessage
  ) throws(Failure) {
    let number = try read(message, UInt64.self)
    let place = try checked { () throws(FrontEndFault) in try RingDescriptorMessage(number) }
    var notifier: Notifier?
    if let descriptor = message.descriptors.take() {
      do throws(FrontEndFault) {
        notifier = try Notifier(adopting: descriptor)
      } catch {
        throw .fault(error)
      }
    }
    guard place.hasDescriptor == (notifier != nil) else {
      throw .fault(FrontEndFault("message \(request): a descriptor is missing, or one too many"))
    }
    switch request {
    case .setRingKick:
      guard let notifier else {
        throw .fault(FrontEndFault("ring \(place.index): rings without kicks are not supported"))
      }
      try change(place.index) { $0.kick = notifier }
    case .setRingCall:
      try checked { () throws(FrontEndFault) in
        try rings.with(place.index) { ring throws(FrontEndFault) in ring.setCall(notifier) }
      }
    default:
      try checked { () throws(FrontEndFault) in
        try rings.with(place.index) { ring throws(FrontEndFault) in ring.setError(notifier) }
      }
    }
  }
}
