internal import Platform

/// The guest's memory, and that of the requests in flight.
extension Device {
  func handleMemory(
    _ request: VhostUserRequest,
    _ message: inout ReceivedMessage
  ) throws(Failure) {
    switch request {
    case .getMaximumMemorySlots:
      try expectEmpty(message)
      try reply(request, UInt64(GuestMemory.slotLimit))
    case .setMemoryTable:
      let memory = try readTable(&message)
      try replaceMemory(memory, drains: true)
    case .addMemoryRegion:
      let description = try read(message, SlotMessage.self).region
      guard let file = message.descriptors.take() else {
        throw .fault(FrontEndFault("a memory region came without its descriptor"))
      }
      let current = surroundings.memory
      let memory = try checked { () throws(FrontEndFault) in
        try current.adding(MemoryRegion(description, file: file))
      }
      // Nothing that is in use moves: requests in flight may go on.
      try replaceMemory(memory, drains: false)
    default:
      // It may come with a descriptor, which is of no use.
      let description = try read(message, SlotMessage.self).region
      let current = surroundings.memory
      let memory = try checked { () throws(FrontEndFault) in try current.removing(description) }
      try replaceMemory(memory, drains: true)
    }
  }

  private func replaceMemory(_ memory: GuestMemory, drains: Bool) throws(Failure) {
    rings.forEach { $0.pause() }
    // The front end may do what it likes with memory that it took away, once we have answered.
    if drains { try drain() }
    surroundings.memory = memory
    try resumeRings()
  }

  private func readTable(_ message: inout ReceivedMessage) throws(Failure) -> GuestMemory {
    let headerSize = MemoryLayout<MemoryTableMessage>.size
    let entrySize = MemoryLayout<RegionMessage>.size
    let payload = message.payload
    guard payload.count >= headerSize else {
      throw .fault(FrontEndFault("memory table of \(payload.count) bytes"))
    }
    let head = payload.withUnsafeBytes { $0.loadUnaligned(as: MemoryTableMessage.self) }
    guard head.count <= MemoryTableMessage.regionLimit else {
      throw .fault(FrontEndFault("memory table of \(head.count) regions"))
    }
    let count = Int(head.count)
    guard payload.count == headerSize + count * entrySize, message.descriptors.count == count else {
      throw .fault(
        FrontEndFault(
          "memory table of \(count) regions with \(payload.count) bytes"
            + " and \(message.descriptors.count) descriptors"
        )
      )
    }
    var regions: [MemoryRegion] = []
    for index in 0..<count {
      // In bounds: the length was checked.
      let description = payload.withUnsafeBytes { bytes in
        bytes.loadUnaligned(
          fromByteOffset: headerSize + index * entrySize,
          as: RegionMessage.self
        )
      }
      guard let file = message.descriptors.take() else { break }
      regions.append(
        try checked { () throws(FrontEndFault) in try MemoryRegion(description, file: file) }
      )
    }
    let all = regions
    return try checked { () throws(FrontEndFault) in try GuestMemory(all) }
  }

  func handleInflight(
    _ request: VhostUserRequest,
    _ message: inout ReceivedMessage
  ) throws(Failure) {
    // With or without the padding that C puts at its end.
    let bytes = message.payload
    guard bytes.count == 20 || bytes.count == 24 else {
      throw .fault(FrontEndFault("message \(request) of \(bytes.count) bytes"))
    }
    var description = InflightMessage(size: 0, offset: 0, queueCount: 0, queueSize: 0)
    withUnsafeMutableBytes(of: &description) { $0.copyBytes(from: bytes) }
    guard description.queueCount > 0, Int(description.queueCount) <= rings.count,
      description.queueSize > 0, Int(description.queueSize) <= configuration.maximumQueueSize
    else {
      throw .fault(
        FrontEndFault(
          "requests in flight of \(description.queueCount) queues of \(description.queueSize)"
        )
      )
    }
    if request == .getInflight {
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
      return try reply(request, description, descriptor: file.number)
    }
    guard let file = message.descriptors.take() else {
      throw .fault(FrontEndFault("requests in flight came without their file"))
    }
    var isInUse = false
    rings.forEach { if $0.queue != nil { isInUse = true } }
    guard !isInUse else {
      throw .fault(FrontEndFault("the file of requests in flight changes while rings are in use"))
    }
    surroundings.inflight = try checked { () throws(FrontEndFault) in
      try InflightArea(description, file: file)
    }
  }
}
