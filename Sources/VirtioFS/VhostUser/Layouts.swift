/// `{index, number}`: sizes, bases and switches of rings.
struct RingStateLayout: BitwiseCopyable {
  var index: UInt32
  var number: UInt32
}

/// Where a ring lies, as addresses of the front end's process.
struct RingAddresses: BitwiseCopyable, Equatable {
  var index: UInt32
  var flags: UInt32
  var descriptors: UInt64
  var used: UInt64
  var available: UInt64
  var log: UInt64
}

/// One region of guest memory, and where in its file it lies.
struct RegionDescription: BitwiseCopyable, Hashable {
  var guestAddress: UInt64
  var size: UInt64
  var userAddress: UInt64
  var fileOffset: UInt64
}

/// Where requests in flight are tracked. 4 bytes of padding may follow.
struct InflightDescription: BitwiseCopyable {
  var size: UInt64
  var offset: UInt64
  var queueCount: UInt16
  var queueSize: UInt16
  var padding: UInt32 = 0
}

/// Head of an access to the configuration space; the bytes follow.
struct ConfigurationLayout: BitwiseCopyable {
  var offset: UInt32
  var size: UInt32
  var flags: UInt32

  /// As long as the space may be by the specification.
  static let spaceLimit = 256
}
