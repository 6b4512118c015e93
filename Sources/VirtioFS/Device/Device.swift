internal import FUSE
internal import Glibc
internal import Platform

/// The device as one front end sees it: the state behind the conversation.
///
/// Lives as long as the connection and belongs to the server's thread. The FUSE session may live longer: see
/// `tearDown`.
final class Device {
  let connection: FrontEndConnection
  let rings: [Vring]
  var surroundings: Vring.Surroundings
  /// Whether a message came: probes connect and say nothing.
  private(set) var hasSpoken = false
  private var protocolFeatures: ProtocolFeatures = []
  private var status: UInt64 = 0

  var configuration: VirtioFSConfiguration { surroundings.configuration }

  init(connection: FrontEndConnection, session: Session, configuration: VirtioFSConfiguration) {
    self.connection = connection
    surroundings = Vring.Surroundings(session: session, configuration: configuration)
    // One for what needs no reply and is urgent, and the request queues.
    rings = (0...configuration.requestQueues).map { Vring(index: $0) }
  }

  /// Talks with the front end until it goes away, breaks the protocol or the server is to stop.
  func serve() -> FrontEndConnection.Interruption {
    defer { tearDown() }
    do throws(FrontEndConnection.Interruption) {
      while true {
        let message = try connection.receive()
        hasSpoken = true
        try handle(message)
      }
    } catch {
      return error
    }
  }

  /// Ends all use of the guest's memory.
  private func tearDown() {
    for ring in rings { ring.pause() }
    // From here on answers are dropped: they would go into memory that its next user has other plans for.
    for ring in rings { ring.queue?.close() }
    if surroundings.inflight == nil && rings.contains(where: \.hasRun) {
      // The front end has no means to bring the guest back: what the guest knew is of no use to anybody.
      surroundings.session.finish()
    } else {
      surroundings.session.failDetached()
    }
    for ring in rings { ring.reset() }
  }

  private func handle(
    _ message: ReceivedMessage
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
      let parsed = try checked { () throws(FrontEndFault) in
        try FrontEndMessage(message, request)
      }
      try handle(parsed)
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

  private func handle(_ message: FrontEndMessage) throws(Failure) {
    switch message {
    case .getFeatures: try reply(.getFeatures, VirtioFeatures.offered.rawValue)
    case .setFeatures(let features):
      guard VirtioFeatures.offered.isSuperset(of: features) else {
        throw .fault(FrontEndFault("features \(features.rawValue) were not all offered"))
      }
      try changeSurroundings { $0.features = features }
    case .setOwner: break
    case .getProtocolFeatures: try reply(.getProtocolFeatures, offeredProtocolFeatures.rawValue)
    case .setProtocolFeatures(let features):
      guard offeredProtocolFeatures.isSuperset(of: features) else {
        throw .fault(FrontEndFault("protocol features \(features.rawValue) were not all offered"))
      }
      protocolFeatures = features
    case .getQueueCount: try reply(.getQueueCount, UInt64(rings.count))
    case .getMaximumMemorySlots:
      try reply(.getMaximumMemorySlots, UInt64(GuestMemory.slotLimit))
    case .setMemoryTable(let regions): try setMemoryTable(regions)
    case .addMemoryRegion(let region, let file): try addMemoryRegion(region, file)
    case .removeMemoryRegion(let region): try removeMemoryRegion(region)
    case .changeRing(let index, let change): try changeRing(index, change)
    case .stopRing(let index): try stopRing(index)
    case .getConfiguration(let head, let range): try replyConfiguration(head, range)
    case .getInflight(let description): try makeInflightArea(description)
    case .setInflight(let description, let file): try setInflightArea(description, file)
    case .resetDevice: reset()
    case .setStatus(let status):
      self.status = status
      // A reset for the rings alone: monitors send it whenever a machine is stopped, also just for a pause.
      if status == 0 { try stopRings() }
    case .getStatus: try reply(.getStatus, status)
    }
  }

  private var offeredProtocolFeatures: ProtocolFeatures {
    configuration.tag == nil ? .offered : ProtocolFeatures.offered.union(.configuration)
  }

  /// The guest starts from nothing: answers that it still waits for are of no use to anybody.
  private func reset() {
    for ring in rings { ring.pause() }
    for ring in rings { ring.queue?.close() }
    surroundings.session.finish()
    for ring in rings { ring.reset() }
    surroundings.inflight?.clear()
    status = 0
  }

  private func replyConfiguration(
    _ head: ConfigurationLayout,
    _ range: Range<Int>
  ) throws(Failure) {
    // The protocol's way to say that it failed.
    if range.isEmpty { return try reply(.getConfiguration, bytes: []) }
    var space = [UInt8](repeating: 0, count: ConfigurationLayout.spaceLimit)
    if let tag = configuration.tag {
      for (index, byte) in tag.utf8.prefix(36).enumerated() { space[index] = byte }
    }
    withUnsafeBytes(of: UInt32(configuration.requestQueues).littleEndian) { count in
      for (index, byte) in count.enumerated() { space[36 + index] = byte }
    }
    try reply(.getConfiguration, bytes: withUnsafeBytes(of: head) { Array($0) } + space[range])
  }
}
