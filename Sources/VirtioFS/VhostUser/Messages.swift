/// A message with the descriptors that came along. What is not taken out is closed with it.
struct ReceivedMessage: ~Copyable {
  let header: MessageHeader
  let payload: [UInt8]
  var descriptors: DescriptorList

  /// Reads the payload as a fixed layout.
  ///
  /// - Parameter size: The only right length of the payload; that of the type by default.
  func read<Layout: BitwiseCopyable>(
    _ type: Layout.Type,
    size: Int = MemoryLayout<Layout>.size
  ) throws(FrontEndFault) -> Layout {
    guard payload.count == size, size >= MemoryLayout<Layout>.size else {
      throw FrontEndFault(
        "message \(header.request): \(payload.count) bytes of payload, \(size) expected"
      )
    }
    return payload.withUnsafeBytes { $0.loadUnaligned(as: type) }
  }
}

/// `{index, number}`: sizes, bases and switches of rings.
struct RingStateMessage: BitwiseCopyable {
  var index: UInt32
  var number: UInt32
}

/// Where a ring lies, as addresses of the front end's process.
struct RingAddressMessage: BitwiseCopyable, Equatable {
  var index: UInt32
  var flags: UInt32
  var descriptors: UInt64
  var used: UInt64
  var available: UInt64
  var log: UInt64
}

/// One region of guest memory, and where in its file it lies.
struct RegionMessage: BitwiseCopyable, Hashable {
  var guestAddress: UInt64
  var size: UInt64
  var userAddress: UInt64
  var fileOffset: UInt64
}

/// A region to add or remove.
struct SlotMessage: BitwiseCopyable {
  var padding: UInt64
  var region: RegionMessage
}

/// Head of the whole table of regions; they follow.
struct MemoryTableMessage: BitwiseCopyable {
  var count: UInt32
  var padding: UInt32

  /// As many descriptors fit into one message by the specification.
  static let regionLimit = 8
}

/// Where requests in flight are tracked. 4 bytes of padding may follow.
struct InflightMessage: BitwiseCopyable {
  var size: UInt64
  var offset: UInt64
  var queueCount: UInt16
  var queueSize: UInt16
  var padding: UInt32 = 0
}

/// Head of an access to the configuration space; the bytes follow.
struct ConfigurationMessage: BitwiseCopyable {
  var offset: UInt32
  var size: UInt32
  var flags: UInt32

  /// As long as the space may be by the specification.
  static let spaceLimit = 256
}

/// The index in a message about a descriptor of a ring, and whether one comes along.
struct RingDescriptorMessage {
  let index: UInt64
  let hasDescriptor: Bool

  init(_ number: UInt64) throws(FrontEndFault) {
    guard number & ~0x1FF == 0 else {
      throw FrontEndFault("descriptor of a ring: reserved bits in \(number)")
    }
    index = number & 0xFF
    hasDescriptor = number & 0x100 == 0
  }
}
