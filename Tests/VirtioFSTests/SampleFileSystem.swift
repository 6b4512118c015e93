import CLinux
import FUSE
import Glibc
import Platform

/// A small tree for tests: `hello` (in memory), `big` (a file), `slow` (answered when the test says so),
/// `list` (a directory of many names) and `link`.
final class SampleFileSystem: FileSystem {
  static let greeting = Array("Hello from the other side\n".utf8)
  static let bigSize = 3 << 20
  static let listCount = 500

  enum Node: UInt64, CaseIterable {
    case root = 1
    case hello
    case big
    case slow
    case list
    case link
  }

  struct Record {
    var inits = 0
    var destroys = 0
    var forgets: [UInt64: UInt64] = [:]
    var waiting: [CheckedContinuation<Void, Never>] = []
    var isOpen = false
    var slowReads = 0
    var cancelled = 0
  }

  let big: CInt
  let record = Guarded(Record())

  init() {
    big = memfd_create("sample", 0)
    precondition(big >= 0)
    var words = [UInt32](repeating: 0, count: Self.bigSize / 4)
    for index in words.indices { words[index] = UInt32(index) &* 2_654_435_761 }
    let written = words.withUnsafeBytes { pwrite(big, $0.baseAddress, $0.count, 0) }
    precondition(written == Self.bigSize)
  }

  deinit {
    close(big)
  }

  static func bigBytes(at offset: Int, count: Int) -> [UInt8] {
    (offset..<min(offset + count, bigSize)).map { position in
      let word = UInt32(position / 4) &* 2_654_435_761
      return UInt8(truncatingIfNeeded: word >> (8 * UInt32(position % 4)))
    }
  }

  /// Lets all waiting reads of `slow` be answered, and all later ones at once.
  func release() {
    let waiting = record.withLock { record in
      record.isOpen = true
      defer { record.waiting = [] }
      return record.waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  /// Whether something that a task does comes true before long.
  func eventually(_ condition: (Record) -> Bool) -> Bool {
    for _ in 0..<10_000 {
      if record.withLock({ condition($0) }) { return true }
      usleep(1000)
    }
    return false
  }

  func initialize(_ negotiation: inout Negotiation) { record.withLock { $0.inits += 1 } }
  func destroy() { record.withLock { $0.destroys += 1 } }

  func attributes(_ node: Node) -> Attributes {
    let inode = InodeNumber(rawValue: node.rawValue)
    switch node {
    case .root, .list:
      return Attributes(inode: inode, type: .directory, permissions: 0o555, size: 0)
    case .hello:
      return Attributes(
        inode: inode,
        type: .regular,
        permissions: 0o444,
        size: UInt64(Self.greeting.count)
      )
    case .big, .slow:
      return Attributes(
        inode: inode,
        type: .regular,
        permissions: 0o444,
        size: UInt64(Self.bigSize)
      )
    case .link:
      return Attributes(inode: inode, type: .symbolicLink, permissions: 0o777, size: 5)
    }
  }

  func lookup(_ name: RawSpan, in parent: NodeID, caller: Caller, reply: consuming EntryReply) {
    let text = name.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    let node: Node? =
      switch (parent, text) {
      case (.root, "hello"): .hello
      case (.root, "big"): .big
      case (.root, "slow"): .slow
      case (.root, "list"): .list
      case (.root, "link"): .link
      default: nil
      }
    if let node {
      reply.answer(entry(node))
    } else if parent == NodeID(rawValue: Node.list.rawValue), text.hasPrefix("file-") {
      reply.answer(entry(.hello))
    } else {
      reply.answerMissing(for: .infinite)
    }
  }

  private func entry(_ node: Node) -> Entry {
    Entry(node: NodeID(rawValue: node.rawValue), attributes: attributes(node))
  }

  func forget(_ node: NodeID, count: UInt64) {
    record.withLock { $0.forgets[node.rawValue, default: 0] &+= count }
  }

  func getattr(_ node: NodeID, caller: Caller, reply: consuming AttributesReply) {
    guard let node = Node(rawValue: node.rawValue) else { return reply.fail(Errno(ESTALE)) }
    reply.answer(attributes(node))
  }

  func readlink(_ node: NodeID, caller: Caller, reply: consuming LinkReply) {
    guard node.rawValue == Node.link.rawValue else { return reply.fail(Errno(EINVAL)) }
    let target = Array("hello".utf8)
    reply.answer(target.span.bytes)
  }

  func read(
    _ node: NodeID,
    handle: OpenHandle,
    offset: UInt64,
    caller: Caller,
    reply: consuming DataReply
  ) {
    switch Node(rawValue: node.rawValue) {
    case .hello:
      let bytes = Array(offset < Self.greeting.count ? Self.greeting[Int(offset)...] : [])
      reply.answer(bytes.span.bytes)
    case .big:
      let rest = offset < Self.bigSize ? Self.bigSize - Int(offset) : 0
      let count = min(reply.count, rest)
      reply.answer(file: big, offset: offset, count: count)
    case .slow:
      let rest = offset < Self.bigSize ? Self.bigSize - Int(offset) : 0
      let count = min(reply.count, rest)
      reply.detach { [self] reply in
        await withTaskCancellationHandler {
          await wait()
        } onCancel: { [self] in
          record.withLock { $0.cancelled += 1 }
          release()
        }
        reply.answer(file: big, offset: offset, count: count)
      }
    default:
      reply.fail(Errno(EBADF))
    }
  }

  private func wait() async {
    await withCheckedContinuation { continuation in
      let isOpen = record.withLock { record in
        record.slowReads += 1
        if !record.isOpen { record.waiting.append(continuation) }
        return record.isOpen
      }
      if isOpen { continuation.resume() }
    }
  }

  func readdir(
    _ node: NodeID,
    handle: OpenHandle,
    from cookie: UInt64,
    caller: Caller,
    reply: consuming DirectoryReply
  ) {
    var names: [(String, Node)]
    switch Node(rawValue: node.rawValue) {
    case .root:
      names = [
        ("hello", .hello), ("big", .big), ("slow", .slow), ("list", .list), ("link", .link),
      ]
    case .list:
      names = (0..<Self.listCount).map { ("file-\($0)", .hello) }
    default:
      return reply.fail(Errno(ENOTDIR))
    }
    names = [(".", .root), ("..", .root)] + names
    reply.answer { writer throws(Errno) in
      guard cookie < names.count else { return }
      for index in Int(cookie)..<names.count {
        let (name, node) = names[index]
        let fits = Array(name.utf8).withUnsafeBytes { name in
          index < 2
            ? writer.add(
              name.bytes,
              inode: InodeNumber(rawValue: node.rawValue),
              type: .directory,
              cookie: UInt64(index + 1)
            )
            : writer.add(name.bytes, entry: entry(node), cookie: UInt64(index + 1))
        }
        if !fits { return }
      }
    }
  }
}
