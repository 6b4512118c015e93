internal import Platform

/// What a front end says, read and checked as far as that can be done without the device's state.
enum FrontEndMessage {
  case getFeatures
  case setFeatures(VirtioFeatures)
  /// Also RESET_OWNER, which is deprecated and unsafe to obey.
  case setOwner
  case getProtocolFeatures
  case setProtocolFeatures(ProtocolFeatures)
  case getQueueCount
  case getMaximumMemorySlots
  case setMemoryTable([(region: RegionDescription, file: ReceivedFile)])
  case addMemoryRegion(RegionDescription, ReceivedFile)
  case removeMemoryRegion(RegionDescription)
  case changeRing(index: UInt32, RingChange)
  case stopRing(index: UInt32)
  /// Empty if the range is none, which the protocol has no other way to refuse.
  case getConfiguration(ConfigurationLayout, range: Range<Int>)
  case getInflight(InflightDescription)
  case setInflight(InflightDescription, ReceivedFile)
  case resetDevice
  case setStatus(UInt64)
  case getStatus

  /// Something about one ring.
  enum RingChange {
    case size(UInt16)
    case base(UInt16)
    case addresses(RingAddresses)
    case enable(Bool)
    case kick(Notifier)
    case call(Notifier?)
    case error(Notifier?)
  }

  /// How many regions one table may have. Their descriptors all come with one message.
  static let regionLimit = 32

  /// Takes a message apart.
  init(_ message: ReceivedMessage, _ request: VhostUserRequest) throws(FrontEndFault) {
    var reader = MessageReader(message, request)
    self = try Self.read(request, &reader)
    try reader.finish()
  }

  private static func read(
    _ request: VhostUserRequest,
    _ reader: inout MessageReader
  ) throws(FrontEndFault) -> FrontEndMessage {
    switch request {
    case .getFeatures: return .getFeatures
    case .setFeatures: return .setFeatures(VirtioFeatures(rawValue: try reader.take()))
    case .setOwner, .resetOwner: return .setOwner
    case .getProtocolFeatures: return .getProtocolFeatures
    case .setProtocolFeatures:
      return .setProtocolFeatures(ProtocolFeatures(rawValue: try reader.take()))
    case .getQueueCount: return .getQueueCount
    case .getMaximumMemorySlots: return .getMaximumMemorySlots
    case .setMemoryTable: return try readTable(&reader)
    case .addMemoryRegion:
      let region = try readSlot(&reader)
      return .addMemoryRegion(region, try reader.takeFile())
    case .removeMemoryRegion:
      // It may come with a descriptor, which is of no use.
      _ = reader.takeFileIfAny()
      return .removeMemoryRegion(try readSlot(&reader))
    case .setRingSize, .setRingBase, .setRingAddresses, .setRingEnabled, .setRingKick,
      .setRingCall, .setRingError:
      return try readRingChange(request, &reader)
    case .getRingBase: return .stopRing(index: try reader.take(RingStateLayout.self).index)
    case .getConfiguration: return try readConfiguration(&reader)
    case .setConfiguration: throw reader.fault("the configuration space is read-only")
    case .getInflight: return .getInflight(try readInflight(&reader))
    case .setInflight:
      let description = try readInflight(&reader)
      return .setInflight(description, try reader.takeFile())
    case .resetDevice: return .resetDevice
    case .setStatus: return .setStatus(try reader.take())
    case .getStatus: return .getStatus
    }
  }

  private static func readTable(
    _ reader: inout MessageReader
  ) throws(FrontEndFault) -> FrontEndMessage {
    let count = try reader.take(UInt32.self)
    _ = try reader.take(UInt32.self)
    guard count <= regionLimit else {
      throw reader.fault("\(count) regions, at most \(regionLimit) are allowed")
    }
    var regions: [(region: RegionDescription, file: ReceivedFile)] = []
    for _ in 0..<count {
      let region = try reader.take(RegionDescription.self)
      regions.append((region, try reader.takeFile()))
    }
    return .setMemoryTable(regions)
  }

  private static func readSlot(
    _ reader: inout MessageReader
  ) throws(FrontEndFault) -> RegionDescription {
    _ = try reader.take(UInt64.self)
    return try reader.take()
  }

  private static func readInflight(
    _ reader: inout MessageReader
  ) throws(FrontEndFault) -> InflightDescription {
    let size = try reader.take(UInt64.self)
    let offset = try reader.take(UInt64.self)
    let queueCount = try reader.take(UInt16.self)
    let queueSize = try reader.take(UInt16.self)
    // With or without the padding that C puts at its end.
    if reader.remaining == 4 { _ = try reader.take(UInt32.self) }
    return InflightDescription(
      size: size,
      offset: offset,
      queueCount: queueCount,
      queueSize: queueSize
    )
  }

  private static func readConfiguration(
    _ reader: inout MessageReader
  ) throws(FrontEndFault) -> FrontEndMessage {
    let head = try reader.take(ConfigurationLayout.self)
    let room = reader.takeRest().count
    let limit = ConfigurationLayout.spaceLimit
    guard let offset = Int(exactly: head.offset), let size = Int(exactly: head.size),
      offset <= limit, size <= limit - offset, room == size
    else { return .getConfiguration(head, range: 0..<0) }
    return .getConfiguration(head, range: offset..<offset + size)
  }

  // MARK: Rings

  private static func readRingChange(
    _ request: VhostUserRequest,
    _ reader: inout MessageReader
  ) throws(FrontEndFault) -> FrontEndMessage {
    switch request {
    case .setRingAddresses:
      let addresses = try reader.take(RingAddresses.self)
      guard addresses.flags == 0, addresses.descriptors % 16 == 0, addresses.available % 2 == 0,
        addresses.used % 4 == 0
      else { throw reader.fault("ring \(addresses.index): unaligned, or to be logged") }
      return .changeRing(index: addresses.index, .addresses(addresses))
    case .setRingKick, .setRingCall, .setRingError:
      return try readNotifier(request, &reader)
    default:
      let state = try reader.take(RingStateLayout.self)
      let change: RingChange? =
        switch request {
        case .setRingSize: UInt16(exactly: state.number).map { .size($0) }
        case .setRingBase: UInt16(exactly: state.number).map { .base($0) }
        default: state.number <= 1 ? .enable(state.number == 1) : nil
        }
      guard let change else {
        throw reader.fault("ring \(state.index): \(state.number) is out of range")
      }
      return .changeRing(index: state.index, change)
    }
  }

  private static func readNotifier(
    _ request: VhostUserRequest,
    _ reader: inout MessageReader
  ) throws(FrontEndFault) -> FrontEndMessage {
    // The lowest byte is the index; the next bit says that no descriptor comes along.
    let number = try reader.take(UInt64.self)
    guard number & ~0x1FF == 0 else { throw reader.fault("reserved bits in \(number)") }
    let index = UInt32(number & 0xFF)
    var notifier: Notifier?
    if number & 0x100 == 0 { notifier = try Notifier(adopting: reader.takeFile().take()) }
    switch request {
    case .setRingCall: return .changeRing(index: index, .call(notifier))
    case .setRingError: return .changeRing(index: index, .error(notifier))
    default:
      guard let notifier else {
        throw reader.fault("ring \(index): rings without kicks are not supported")
      }
      return .changeRing(index: index, .kick(notifier))
    }
  }
}
