internal import FUSE
internal import Glibc
internal import Platform

/// The device as one front end sees it: the state behind the conversation.
///
/// Lives as long as the connection and belongs to the server's thread. The FUSE session lives longer: a guest
/// whose monitor reconnects goes on without a new INIT.
final class Device {
  let connection: FrontEndConnection
  var rings: RingTable
  var surroundings: Vring.Surroundings
  var protocolFeatures: ProtocolFeatures = []
  /// Whether a message came: probes connect and say nothing.
  private(set) var hasSpoken = false
  private var status: UInt64 = 0

  var configuration: VirtioFSConfiguration { surroundings.configuration }

  init(connection: FrontEndConnection, session: Session, configuration: VirtioFSConfiguration) {
    self.connection = connection
    surroundings = Vring.Surroundings(session: session, configuration: configuration)
    // One for what needs no reply and is urgent, and the request queues.
    rings = RingTable(count: 1 + configuration.requestQueues)
  }

  /// Talks with the front end until it goes away, breaks the protocol or the server is to stop.
  func serve() -> FrontEndConnection.Interruption {
    defer { tearDown() }
    do throws(FrontEndConnection.Interruption) {
      while true {
        var message = try connection.receive()
        hasSpoken = true
        try handle(&message)
      }
    } catch {
      return error
    }
  }

  /// Ends all use of the guest's memory.
  private func tearDown() {
    rings.forEach { $0.pause() }
    // From here on answers are dropped: they would go into memory that its next user has other plans for.
    rings.forEach { $0.queue?.close() }
    surroundings.session.failDetached()
    rings.forEach { $0.reset() }
  }

  private func handle(
    _ message: inout ReceivedMessage
  ) throws(FrontEndConnection.Interruption) {
    let header = message.header
    let request = VhostUserRequest(rawValue: header.request)
    let acknowledges =
      header.needsReply && protocolFeatures.contains(.replyAcknowledgement)
      && request?.hasReply != true
    do throws(Failure) {
      guard let request else {
        throw .fault(FrontEndFault("message \(header.request) is not known"))
      }
      guard protocolFeatures.isSuperset(of: request.requiredFeature) else {
        throw .fault(FrontEndFault("message \(request) needs a feature that was not agreed on"))
      }
      guard message.descriptors.count <= request.descriptorLimit else {
        throw .fault(FrontEndFault("message \(request) came with too many descriptors"))
      }
      try handle(request, &message)
    } catch {
      switch error {
      case .interruption(let interruption): throw interruption
      case .fault(let fault):
        // Without an acknowledgement the front end would take the failure for a success.
        guard acknowledges else { throw .broken(fault) }
        configuration.onEvent?(.frontEndFault(fault.description))
        return try connection.reply(to: header.request, UInt64(1))
      }
    }
    if acknowledges { try connection.reply(to: header.request, UInt64(0)) }
  }

  /// Why a message was not obeyed.
  enum Failure: Error {
    case fault(FrontEndFault)
    case interruption(FrontEndConnection.Interruption)
  }

  private func handle(
    _ request: VhostUserRequest,
    _ message: inout ReceivedMessage
  ) throws(Failure) {
    switch request {
    case .getFeatures:
      try expectEmpty(message)
      try reply(request, VirtioFeatures.offered.rawValue)
    case .setFeatures:
      let features = VirtioFeatures(rawValue: try read(message, UInt64.self))
      guard VirtioFeatures.offered.isSuperset(of: features) else {
        throw .fault(FrontEndFault("features \(features.rawValue) were not all offered"))
      }
      try changeRings { $0.features = features }
    case .setOwner, .resetOwner:
      // The second is deprecated, and unsafe to obey.
      try expectEmpty(message)
    case .getProtocolFeatures:
      try expectEmpty(message)
      try reply(request, offeredProtocolFeatures.rawValue)
    case .setProtocolFeatures:
      let features = ProtocolFeatures(rawValue: try read(message, UInt64.self))
      guard offeredProtocolFeatures.isSuperset(of: features) else {
        throw .fault(FrontEndFault("protocol features \(features.rawValue) were not all offered"))
      }
      protocolFeatures = features
    case .getQueueCount:
      try expectEmpty(message)
      try reply(request, UInt64(rings.count))
    case .setMemoryTable, .getMaximumMemorySlots, .addMemoryRegion, .removeMemoryRegion:
      try handleMemory(request, &message)
    case .setRingSize, .setRingAddresses, .setRingBase, .getRingBase, .setRingKick, .setRingCall,
      .setRingError, .setRingEnabled:
      try handleRing(request, &message)
    case .getConfiguration:
      try replyConfiguration(message)
    case .setConfiguration:
      throw .fault(FrontEndFault("the configuration space is read-only"))
    case .getInflight, .setInflight:
      try handleInflight(request, &message)
    case .resetDevice:
      try expectEmpty(message)
      reset()
    case .setStatus:
      status = try read(message, UInt64.self)
      // A reset for the rings alone: monitors send it whenever a machine is stopped, also just for a pause.
      if status == 0 {
        try stopRings()
      }
    case .getStatus:
      try expectEmpty(message)
      try reply(request, status)
    }
  }

  private var offeredProtocolFeatures: ProtocolFeatures {
    configuration.tag == nil ? .offered : ProtocolFeatures.offered.union(.configuration)
  }

  /// The guest starts from nothing: answers that it still waits for are of no use to anybody.
  private func reset() {
    rings.forEach { $0.pause() }
    surroundings.session.finish()
    rings.forEach { $0.reset() }
    status = 0
  }

  private func stopRings() throws(Failure) {
    rings.forEach { $0.pause() }
    try drain()
    rings.forEach { _ = $0.stop() }
  }

  private func replyConfiguration(_ message: borrowing ReceivedMessage) throws(Failure) {
    let headerSize = MemoryLayout<ConfigurationMessage>.size
    let payload = message.payload
    guard payload.count >= headerSize else {
      throw .fault(FrontEndFault("configuration message of \(payload.count) bytes"))
    }
    let head = payload.withUnsafeBytes { $0.loadUnaligned(as: ConfigurationMessage.self) }
    let limit = ConfigurationMessage.spaceLimit
    guard let offset = Int(exactly: head.offset), let size = Int(exactly: head.size),
      offset <= limit, size > 0, size <= limit - offset, payload.count == headerSize + size
    else {
      // The protocol's way to say that it failed.
      return try reply(.getConfiguration, bytes: [])
    }
    var space = [UInt8](repeating: 0, count: limit)
    if let tag = configuration.tag {
      for (index, byte) in tag.utf8.prefix(36).enumerated() { space[index] = byte }
    }
    withUnsafeBytes(of: UInt32(configuration.requestQueues).littleEndian) { count in
      for (index, byte) in count.enumerated() { space[36 + index] = byte }
    }
    try reply(
      .getConfiguration,
      bytes: Array(payload.prefix(headerSize)) + space[offset..<offset + size]
    )
  }
}
