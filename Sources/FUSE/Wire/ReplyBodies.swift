// The bodies of replies, laid out as on the wire (protocol 7.45).

struct InitOut: BitwiseCopyable {
  var major: UInt32 = 0
  var minor: UInt32 = 0
  var maxReadahead: UInt32 = 0
  var flags: UInt32 = 0
  var maxBackground: UInt16 = 0
  var congestionThreshold: UInt16 = 0
  var maxWrite: UInt32 = 0
  var timeGranularity: UInt32 = 0
  var maxPages: UInt16 = 0
  var mapAlignment: UInt16 = 0
  var flags2: UInt32 = 0
  var maxStackDepth: UInt32 = 0
  var requestTimeout: UInt16 = 0
  var unused: (UInt16, UInt16, UInt16) = (0, 0, 0)
  var unused2: (UInt64, UInt64) = (0, 0)
}

struct AttributesWire: BitwiseCopyable {
  var inode: UInt64 = 0
  var size: UInt64 = 0
  var blocks: UInt64 = 0
  var accessSeconds: UInt64 = 0
  var modificationSeconds: UInt64 = 0
  var changeSeconds: UInt64 = 0
  var accessNanoseconds: UInt32 = 0
  var modificationNanoseconds: UInt32 = 0
  var changeNanoseconds: UInt32 = 0
  var mode: UInt32 = 0
  var links: UInt32 = 0
  var user: UInt32 = 0
  var group: UInt32 = 0
  var device: UInt32 = 0
  var blockSize: UInt32 = 0
  var flags: UInt32 = 0

  init() {}

  init(_ attributes: Attributes) {
    inode = attributes.inode.rawValue
    size = attributes.size
    blocks = attributes.blocks
    accessSeconds = attributes.seconds
    modificationSeconds = attributes.seconds
    changeSeconds = attributes.seconds
    // Times with more than a second's worth are refused by user space tools.
    let nanoseconds = min(attributes.nanoseconds, 999_999_999)
    accessNanoseconds = nanoseconds
    modificationNanoseconds = nanoseconds
    changeNanoseconds = nanoseconds
    mode = attributes.type.rawValue << 12 | attributes.permissions & 0o7777
    links = attributes.links
    user = attributes.user
    group = attributes.group
    blockSize = attributes.blockSize
  }
}

struct EntryOut: BitwiseCopyable {
  var node: UInt64 = 0
  var generation: UInt64 = 0
  var nameSeconds: UInt64 = 0
  var attributesSeconds: UInt64 = 0
  var nameNanoseconds: UInt32 = 0
  var attributesNanoseconds: UInt32 = 0
  var attributes = AttributesWire()

  init() {}

  init(_ entry: Entry) {
    node = entry.node.rawValue
    generation = entry.generation
    setNameValidity(entry.nameValidity)
    attributesSeconds = entry.attributesValidity.seconds
    attributesNanoseconds = entry.attributesValidity.nanoseconds
    attributes = AttributesWire(entry.attributes)
  }

  mutating func setNameValidity(_ validity: Validity) {
    nameSeconds = validity.seconds
    nameNanoseconds = validity.nanoseconds
  }
}

struct AttributesOut: BitwiseCopyable {
  var seconds: UInt64 = 0
  var nanoseconds: UInt32 = 0
  var padding: UInt32 = 0
  var attributes = AttributesWire()

  init() {}

  init(_ attributes: Attributes, _ validity: Validity) {
    seconds = validity.seconds
    nanoseconds = validity.nanoseconds
    self.attributes = AttributesWire(attributes)
  }
}

struct OpenOut: BitwiseCopyable {
  static let passthrough: UInt32 = 0x80

  var handle: UInt64 = 0
  var options: UInt32 = 0
  var backing: Int32 = 0
}

/// Before each name in a listing; the record is padded to 8 bytes.
struct DirectoryRecord: BitwiseCopyable {
  var inode: UInt64 = 0
  var cookie: UInt64 = 0
  var nameLength: UInt32 = 0
  var type: UInt32 = 0
}

struct StatisticsOut: BitwiseCopyable {
  var blocks: UInt64 = 0
  var freeBlocks: UInt64 = 0
  var availableBlocks: UInt64 = 0
  var files: UInt64 = 0
  var freeFiles: UInt64 = 0
  var blockSize: UInt32 = 0
  var maximumNameLength: UInt32 = 0
  var fragmentSize: UInt32 = 0
  var padding: UInt32 = 0
  var spare: (UInt64, UInt64, UInt64) = (0, 0, 0)

  init() {}

  init(_ statistics: Statistics) {
    blocks = statistics.blocks
    freeBlocks = statistics.freeBlocks
    availableBlocks = statistics.availableBlocks
    files = statistics.files
    freeFiles = statistics.freeFiles
    blockSize = statistics.blockSize
    maximumNameLength = statistics.maximumNameLength
    fragmentSize = statistics.fragmentSize
  }
}

struct ExtendedAttributeOut: BitwiseCopyable {
  var size: UInt32 = 0
  var padding: UInt32 = 0
}

struct LseekOut: BitwiseCopyable {
  var offset: UInt64 = 0
}

/// Notification: pages and attributes of a node are void.
struct InvalidateInodeOut: BitwiseCopyable {
  static let code: Int32 = 2

  var node: UInt64 = 0
  var offset: Int64 = 0
  var length: Int64 = 0
}

/// Notification: a name in a directory is void. The name and a NUL follow.
struct InvalidateEntryOut: BitwiseCopyable {
  static let code: Int32 = 3

  var parent: UInt64 = 0
  var nameLength: UInt32 = 0
  var flags: UInt32 = 0
}
