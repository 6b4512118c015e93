internal import Platform

/// What front ends do with rings.
extension Device {
  private func ring(_ index: UInt32) throws(Failure) -> Vring {
    guard let index = Int(exactly: index), rings.indices.contains(index) else {
      throw .fault(FrontEndFault("ring \(index) of \(rings.count)"))
    }
    return rings[index]
  }

  func changeRing(
    _ index: UInt32,
    _ change: FrontEndMessage.RingChange
  ) throws(Failure) {
    let ring = try ring(index)
    let surroundings = surroundings
    try checked { () throws(FrontEndFault) in
      switch change {
      case .size(let size):
        guard size > 0, Int(size) <= surroundings.configuration.maximumQueueSize,
          size.nonzeroBitCount == 1
        else {
          throw FrontEndFault(
            "ring \(index): size \(size), at most \(surroundings.configuration.maximumQueueSize)"
          )
        }
        guard ring.queue == nil || ring.settings.size == size else {
          throw FrontEndFault("ring \(index): its size changes while it is in use")
        }
        try ring.change(in: surroundings) { $0.size = size }
      case .base(let base): try ring.setBase(base)
      case .addresses(let addresses):
        try ring.change(in: surroundings) { $0.addresses = addresses }
      case .enable(let isEnabled):
        guard surroundings.features?.contains(.protocolFeatures) ?? true else {
          throw FrontEndFault("ring \(index): enabled without the feature")
        }
        try ring.change(in: surroundings) { $0.isEnabled = isEnabled }
      case .kick(let kick): try ring.change(in: surroundings) { $0.kick = kick }
      case .call(let call): ring.setCall(call)
      case .error(let error): ring.setError(error)
      }
    }
  }

  /// Changes what rings have in common, while none of them runs.
  func changeSurroundings(_ change: (inout Vring.Surroundings) -> Void) throws(Failure) {
    for ring in rings { ring.pause() }
    change(&surroundings)
    try resumeRings()
  }

  /// Lets all rings run that can: one that fails is no reason to stop the others.
  func resumeRings() throws(Failure) {
    var fault: FrontEndFault?
    for ring in rings {
      do throws(FrontEndFault) {
        // A region may go away and come back with other bounds, with a ring in it.
        try ring.resume(surroundings, waitsForMemory: true)
      } catch {
        fault = error
      }
    }
    if let fault { throw .fault(fault) }
  }

  func stopRing(_ index: UInt32) throws(Failure) {
    let ring = try ring(index)
    ring.pause()
    try settle([ring])
    let base = ring.stop()
    try reply(.getRingBase, RingStateLayout(index: index, number: UInt32(base)))
  }

  func stopRings() throws(Failure) {
    for ring in rings { ring.pause() }
    try settle(rings)
    for ring in rings { _ = ring.stop() }
  }

  /// Waits until nothing is in flight on rings, but not for ever: what takes longer is broken off, and done
  /// again when the ring runs again. Ends when the front end goes away meanwhile.
  ///
  /// - Precondition: They are paused.
  func settle(_ rings: [Vring]) throws(Failure) {
    let deadline = ContinuousClock.now + configuration.stopPatience
    for ring in rings {
      while let queue = ring.queue, !queue.awaitIdle() {
        do throws(FrontEndConnection.Interruption) {
          if try connection.wait(for: queue.idle, until: deadline) { continue }
        } catch {
          throw .interruption(error)
        }
        ring.breakOff(in: surroundings.session)
      }
    }
  }
}
