/// What a front end may ask for. Numbers from QEMU's `docs/interop/vhost-user`; what is missing here
/// belongs to features that are never offered.
enum VhostUserRequest: UInt32 {
  case getFeatures = 1
  case setFeatures = 2
  case setOwner = 3
  case resetOwner = 4
  case setMemoryTable = 5
  case setRingSize = 8
  case setRingAddresses = 9
  case setRingBase = 10
  case getRingBase = 11
  case setRingKick = 12
  case setRingCall = 13
  case setRingError = 14
  case getProtocolFeatures = 15
  case setProtocolFeatures = 16
  case getQueueCount = 17
  case setRingEnabled = 18
  case getConfiguration = 24
  case setConfiguration = 25
  case getInflight = 31
  case setInflight = 32
  case resetDevice = 34
  case getMaximumMemorySlots = 36
  case addMemoryRegion = 37
  case removeMemoryRegion = 38
  case setStatus = 39
  case getStatus = 40

  /// Whether the request has an answer of its own, whatever was negotiated.
  var hasReply: Bool {
    switch self {
    case .getFeatures, .getRingBase, .getProtocolFeatures, .getQueueCount, .getConfiguration,
      .getInflight, .getMaximumMemorySlots, .getStatus:
      true
    default:
      false
    }
  }

  /// The protocol feature without which the request is illegal.
  var requiredFeature: ProtocolFeatures {
    switch self {
    case .getQueueCount: .multipleQueues
    case .getConfiguration, .setConfiguration: .configuration
    case .getInflight, .setInflight: .inflight
    case .resetDevice: .resetDevice
    case .getMaximumMemorySlots, .addMemoryRegion, .removeMemoryRegion: .memorySlots
    case .setStatus, .getStatus: .status
    default: []
    }
  }
}

/// Features of the device that front end and guest agree on: bits of virtio and bit 30 of vhost-user.
struct VirtioFeatures: OptionSet {
  let rawValue: UInt64

  static let indirectDescriptors = VirtioFeatures(rawValue: 1 << 28)
  static let eventIndex = VirtioFeatures(rawValue: 1 << 29)
  static let protocolFeatures = VirtioFeatures(rawValue: 1 << 30)
  static let version1 = VirtioFeatures(rawValue: 1 << 32)

  static let offered: VirtioFeatures = [
    .indirectDescriptors, .eventIndex, .protocolFeatures, .version1,
  ]
}

/// Features of the conversation with the front end.
struct ProtocolFeatures: OptionSet {
  let rawValue: UInt64

  static let multipleQueues = ProtocolFeatures(rawValue: 1 << 0)
  static let replyAcknowledgement = ProtocolFeatures(rawValue: 1 << 3)
  static let configuration = ProtocolFeatures(rawValue: 1 << 9)
  static let inflight = ProtocolFeatures(rawValue: 1 << 12)
  static let resetDevice = ProtocolFeatures(rawValue: 1 << 13)
  static let memorySlots = ProtocolFeatures(rawValue: 1 << 15)
  static let status = ProtocolFeatures(rawValue: 1 << 16)

  /// What is always offered. `configuration` comes on top where there is a tag to tell: front ends
  /// that do not support it were seen to crash on the offer.
  static let offered: ProtocolFeatures = [
    .multipleQueues, .replyAcknowledgement, .inflight, .resetDevice, .memorySlots, .status,
  ]
}
