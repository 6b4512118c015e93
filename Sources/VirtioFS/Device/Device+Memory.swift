internal import Platform

/// The guest's memory, and that of the requests in flight.
extension Device {
  func setMemoryTable(
    _ table: [(region: RegionDescription, file: ReceivedFile)]
  ) throws(Failure) {
    let memory = try checked { () throws(FrontEndFault) in
      var regions: [MemoryRegion] = []
      for (region, file) in table { regions.append(try MemoryRegion(region, file: file.take())) }
      return try GuestMemory(regions)
    }
    try replaceMemory(memory)
  }

  func addMemoryRegion(_ region: RegionDescription, _ file: ReceivedFile) throws(Failure) {
    let current = surroundings.memory
    let memory = try checked { () throws(FrontEndFault) in
      try current.adding(MemoryRegion(region, file: file.take()))
    }
    // Nothing that is in use moves: requests in flight may go on.
    try changeSurroundings { $0.memory = memory }
  }

  func removeMemoryRegion(_ region: RegionDescription) throws(Failure) {
    let current = surroundings.memory
    try replaceMemory(try checked { () throws(FrontEndFault) in try current.removing(region) })
  }

  /// The front end may do what it likes with memory that it took away, once we have answered.
  private func replaceMemory(_ memory: GuestMemory) throws(Failure) {
    for ring in rings { ring.pause() }
    try settle(rings)
    // Also those that do not run hold on to where they lay.
    for ring in rings { ring.queue?.releaseRing() }
    surroundings.memory = memory
    try resumeRings()
  }

  // MARK: Requests in flight

  private func check(_ description: InflightDescription) throws(Failure) {
    guard description.queueCount > 0, Int(description.queueCount) <= rings.count,
      description.queueSize > 0, Int(description.queueSize) <= configuration.maximumQueueSize
    else {
      throw .fault(
        FrontEndFault(
          "requests in flight of \(description.queueCount) queues of \(description.queueSize)"
        )
      )
    }
  }

  func makeInflightArea(_ wish: InflightDescription) throws(Failure) {
    try check(wish)
    var description = wish
    let file: OwnedDescriptor
    do throws(Errno) {
      file = try InflightArea.makeFile(
        queueCount: description.queueCount,
        queueSize: description.queueSize
      )
    } catch {
      throw .fault(FrontEndFault("no memory for requests in flight: \(error)"))
    }
    description.offset = 0
    description.size = UInt64(
      InflightArea.byteCount(
        queueCount: description.queueCount,
        queueSize: description.queueSize
      )
    )
    try reply(.getInflight, description, descriptor: file.number)
  }

  func setInflightArea(
    _ description: InflightDescription,
    _ file: ReceivedFile
  ) throws(Failure) {
    try check(description)
    guard rings.allSatisfy({ $0.queue == nil }) else {
      throw .fault(FrontEndFault("the file of requests in flight changes while rings are in use"))
    }
    surroundings.inflight = try checked { () throws(FrontEndFault) in
      try InflightArea(description, file: file.take())
    }
  }
}
