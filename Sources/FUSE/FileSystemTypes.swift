internal import CLinux

/// What the kernel knows a file by: an identifier that this file system hands out.
///
/// Zero says "there is none" in replies. Never reuse one: the kernel may still hold it.
public struct NodeID: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  /// The number on the wire.
  public let rawValue: UInt64

  /// Wraps a number.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// The root directory, fixed by the protocol. The only node that no lookup hands out.
  public static let root = NodeID(rawValue: 1)

  /// No node: the answer to a lookup of a name that does not exist.
  public static let none = NodeID(rawValue: 0)
}

/// What `st_ino` and `d_ino` show. It may differ from the node id, but not between the two.
public struct InodeNumber: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  /// The number on the wire.
  public let rawValue: UInt64

  /// Wraps a number.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }
}

/// A number that the file system chose for an open file or directory; 0 where OPEN is turned off.
public struct OpenHandle: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  /// The number on the wire.
  public let rawValue: UInt64

  /// Wraps a number.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// The handle of files that were never opened.
  public static let none = OpenHandle(rawValue: 0)
}

/// A file registered with the kernel for passthrough.
public struct BackingID: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  /// The number on the wire, positive.
  public let rawValue: Int32

  /// Wraps a number.
  public init(rawValue: Int32) {
    self.rawValue = rawValue
  }
}

/// Who sent a request. Ids are 0xFFFFFFFF where `allowIDMap` was agreed on; the thread is 0 for one that the
/// server's pid namespace cannot see.
public struct Caller: Hashable, Sendable, BitwiseCopyable {
  /// User.
  public let user: UInt32
  /// Group.
  public let group: UInt32
  /// Thread id.
  public let thread: UInt32
}

/// For how long the kernel may rely on an answer.
public struct Validity: Hashable, Sendable, BitwiseCopyable {
  /// Whole seconds.
  public let seconds: UInt64
  /// Nanoseconds within the second.
  public let nanoseconds: UInt32

  /// A time span; nanoseconds above 999,999,999 are cut.
  public init(seconds: UInt64, nanoseconds: UInt32 = 0) {
    self.seconds = seconds
    self.nanoseconds = min(nanoseconds, 999_999_999)
  }

  /// Until the kernel itself drops it.
  public static let infinite = Validity(seconds: .max)
  /// Not at all: ask again each time.
  public static let none = Validity(seconds: 0)
}

/// What sort of thing a node is, as the type bits of a mode shifted right by 12.
public enum FileType: UInt32, Hashable, Sendable, BitwiseCopyable {
  /// A fifo.
  case fifo = 1
  /// A character device.
  case characterDevice = 2
  /// A directory.
  case directory = 4
  /// A block device.
  case blockDevice = 6
  /// A regular file.
  case regular = 8
  /// A symbolic link.
  case symbolicLink = 10
  /// A socket.
  case socket = 12
}

/// What `stat(2)` shows of a node.
public struct Attributes: Hashable, Sendable, BitwiseCopyable {
  /// The inode number; equal to the one that directory listings give.
  public var inode: InodeNumber
  /// What it is.
  public var type: FileType
  /// The lower twelve bits of the mode.
  public var permissions: UInt32
  /// Length in bytes; for a file the exact number that `read` can deliver. Above `Int64.max` the
  /// kernel answers EIO.
  public var size: UInt64
  /// Disk space in units of 512 bytes.
  public var blocks: UInt64
  /// Number of names: 1 for files, at least 2 for directories by custom.
  public var links: UInt32 = 1
  /// Owner.
  public var user: UInt32 = 0
  /// Group.
  public var group: UInt32 = 0
  /// Seconds since 1970 of all three times.
  public var seconds: UInt64 = 0
  /// Nanoseconds of all three times.
  public var nanoseconds: UInt32 = 0
  /// Preferred size of reads; the kernel rounds it to a power of two.
  public var blockSize: UInt32 = 4096

  /// Attributes with the number of blocks that the size takes.
  public init(inode: InodeNumber, type: FileType, permissions: UInt32, size: UInt64) {
    self.inode = inode
    self.type = type
    self.permissions = permissions
    self.size = size
    self.blocks = size / 512 + (size % 512 == 0 ? 0 : 1)
  }
}

/// The answer to a lookup: a node, and how long name and attributes may be relied on.
public struct Entry: Hashable, Sendable, BitwiseCopyable {
  /// The node, or `.none`.
  public var node: NodeID
  /// Tells incarnations of one node id apart; constant 0 where ids are never reused.
  public var generation: UInt64 = 0
  /// Its attributes.
  public var attributes: Attributes
  /// How long the name stands for this node.
  public var nameValidity: Validity
  /// How long the attributes are right.
  public var attributesValidity: Validity

  /// An entry that holds for ever unless told otherwise.
  public init(
    node: NodeID,
    attributes: Attributes,
    nameValidity: Validity = .infinite,
    attributesValidity: Validity = .infinite
  ) {
    self.node = node
    self.attributes = attributes
    self.nameValidity = nameValidity
    self.attributesValidity = attributesValidity
  }
}

/// What `statfs(2)` shows.
public struct Statistics: Hashable, Sendable, BitwiseCopyable {
  /// Size of the file system in units of `fragmentSize`.
  public var blocks: UInt64 = 0
  /// Free blocks.
  public var freeBlocks: UInt64 = 0
  /// Free blocks for ordinary users.
  public var availableBlocks: UInt64 = 0
  /// Number of nodes.
  public var files: UInt64 = 0
  /// Free nodes.
  public var freeFiles: UInt64 = 0
  /// Preferred block size.
  public var blockSize: UInt32 = 4096
  /// Unit of the block counts.
  public var fragmentSize: UInt32 = 4096
  /// Longest name in bytes.
  public var maximumNameLength: UInt32 = 255

  /// An empty file system.
  public init() {}
}

/// How a file is being opened: the flags of `open(2)`.
public struct OpenFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
  /// The flags as the kernel sends them.
  public let rawValue: UInt32

  /// Wraps flags.
  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// Opened for writing only (one of the access modes, not a bit to combine).
  public static let writeOnly = OpenFlags(rawValue: 1)
  /// Opened for reading and writing.
  public static let readWrite = OpenFlags(rawValue: 2)
  /// To be cut to length 0.
  public static let truncate = OpenFlags(rawValue: 0o1000)
  /// Bypasses the page cache. The bit differs from processor to processor.
  public static let direct = OpenFlags(rawValue: UInt32(CLinux_O_DIRECT))

  /// True if the file may be changed through this opening.
  public var wantsWriting: Bool {
    rawValue & 3 != 0 || contains(.truncate)
  }
}

/// What the kernel shall do with an opened file or directory.
public struct OpenOptions: OptionSet, Hashable, Sendable, BitwiseCopyable {
  /// The flags on the wire.
  public let rawValue: UInt32

  /// Wraps flags.
  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// Bypasses the page cache.
  public static let directIO = OpenOptions(rawValue: 0x01)
  /// Keeps what the page cache holds of the file. Not together with passthrough.
  public static let keepCache = OpenOptions(rawValue: 0x02)
  /// Caches the listing of the directory.
  public static let cacheDirectory = OpenOptions(rawValue: 0x08)
  /// Sends no FLUSH when a descriptor is closed.
  public static let noFlush = OpenOptions(rawValue: 0x20)
}
