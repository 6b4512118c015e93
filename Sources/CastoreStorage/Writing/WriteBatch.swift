internal import Castore

/// Blobs and directories that become durable together.
// Sendable: `items`, `files`, `used`, `outstanding` and `fileBytes` are touched only under the writer's
// lock, and by the committer once the batch is sealed and nobody fills it; each range of `memory` is
// filled by the one thread that reserved it.
final class WriteBatch: @unchecked Sendable {
  /// How much a batch holds in memory, unless a single item is larger.
  static let capacity = 24 << 20
  /// How many files of their own a batch may have; each costs a rename before the commit.
  static let fileLimit = 256
  /// How many bytes these files may have together, so that little is lost on a crash.
  static let fileByteLimit: UInt64 = 512 << 20

  struct Item {
    var digest: B3Digest
    var table: IndexTable
    var range: Range<Int>
  }

  struct File {
    var digest: B3Digest
    var size: UInt64
    var name: String
  }

  private(set) var items: [Item] = []
  private(set) var files: [File] = []
  /// How many reserved ranges are still being filled.
  var outstanding = 0

  private let memory: HeapBytes
  private var used = 0
  private var fileBytes: UInt64 = 0

  init(capacity: Int) {
    memory = HeapBytes(count: max(capacity, Self.capacity))
  }

  var isEmpty: Bool { items.isEmpty && files.isEmpty }

  /// Whether the memory may serve another batch.
  var isOfUsualSize: Bool { memory.bytes.count == Self.capacity }

  func hasRoom(for count: Int) -> Bool {
    memory.bytes.count - used >= count
  }

  var hasRoomForFile: Bool {
    files.count < Self.fileLimit && fileBytes < Self.fileByteLimit
  }

  /// Takes `count` bytes for an item; the caller fills them.
  func reserve(_ table: IndexTable, _ digest: B3Digest, count: Int) -> Range<Int> {
    let range = used..<(used + count)
    items.append(Item(digest: digest, table: table, range: range))
    used += count
    outstanding += 1
    return range
  }

  func add(_ file: File) {
    files.append(file)
    fileBytes += file.size
  }

  /// The bytes of a reserved range.
  func bytes(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: memory.bytes[range])
  }

  /// Brings the items into the order of the tables, which lets neighbours share pages.
  func sort() {
    items.sort { ($0.table.rawValue, $0.digest) < ($1.table.rawValue, $1.digest) }
  }

  func removeAll() {
    items.removeAll(keepingCapacity: true)
    files.removeAll(keepingCapacity: true)
    used = 0
    fileBytes = 0
  }
}
