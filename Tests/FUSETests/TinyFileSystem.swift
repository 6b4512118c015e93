import FUSE
import Glibc
import Platform

/// A file system in memory for tests: a fixed tree, and files that behave badly on purpose.
final class TinyFileSystem: FileSystem {
  enum Content: Sendable {
    case bytes([UInt8])
    /// Says that it is this long; each read answers short.
    case failing(size: UInt64)
    /// Reads wait in a task until they are interrupted.
    case waiting
    /// Reads drop their reply.
    case dropping
    /// Reads come from a file of the system.
    case file(CInt, size: UInt64)
    /// The kernel reads the file itself.
    case backed(CInt, size: UInt64)
    case link([UInt8])
    case directory([Int])
  }

  struct Node: Sendable {
    var name: [UInt8]
    var parent: Int
    var content: Content
  }

  let nodes: [Node]
  let usesOpen: Bool
  let wanted: Capabilities
  /// How often reads were interrupted, and sessions begun and ended.
  let interrupts = Guarded(0)
  let initializations = Guarded(0)
  let destructions = Guarded(0)
  let openings = Guarded<[OpenFlags]>([])
  let forgotten = Guarded<[UInt64: UInt64]>([:])
  let kernel = Guarded<KernelConnection?>(nil)

  /// - Parameter usesOpen: False turns OPEN off.
  init(
    _ files: [(String, Content)],
    usesOpen: Bool = false,
    wanted: Capabilities = .core
  ) {
    var nodes = [Node(name: [], parent: 0, content: .directory([]))]
    var children: [Int: [Int]] = [:]
    for (path, content) in files {
      let parts = path.split(separator: "/").map { Array($0.utf8) }
      var parent = 0
      for (depth, part) in parts.enumerated() {
        if let known = children[parent]?.first(where: { nodes[$0].name == part }) {
          parent = known
          continue
        }
        let isLast = depth == parts.count - 1
        children[parent, default: []].append(nodes.count)
        nodes.append(
          Node(name: part, parent: parent, content: isLast ? content : .directory([]))
        )
        parent = nodes.count - 1
      }
    }
    for (parent, list) in children { nodes[parent].content = .directory(list) }
    self.nodes = nodes
    self.usesOpen = usesOpen
    self.wanted = wanted
  }

  private func node(_ id: NodeID) -> Node? {
    guard id.rawValue > 0, id.rawValue <= UInt64(nodes.count) else { return nil }
    return nodes[Int(id.rawValue) - 1]
  }

  private func attributes(_ index: Int) -> Attributes {
    let inode = InodeNumber(rawValue: UInt64(index + 1000))
    func file(_ size: UInt64) -> Attributes {
      Attributes(inode: inode, type: .regular, permissions: 0o444, size: size)
    }
    switch nodes[index].content {
    case .bytes(let bytes): return file(UInt64(bytes.count))
    case .failing(let size), .file(_, let size), .backed(_, let size): return file(size)
    case .waiting, .dropping: return file(1 << 20)
    case .link(let target):
      return Attributes(
        inode: inode,
        type: .symbolicLink,
        permissions: 0o777,
        size: UInt64(target.count)
      )
    case .directory:
      var result = Attributes(inode: inode, type: .directory, permissions: 0o555, size: 0)
      result.links = 2
      return result
    }
  }

  func initialize(_ negotiation: inout Negotiation) {
    negotiation.wanted = wanted
    kernel.withLock { $0 = negotiation.kernel }
    initializations.withLock { $0 += 1 }
  }

  func destroy() {
    destructions.withLock { $0 += 1 }
  }

  func lookup(
    _ name: RawSpan,
    in parent: NodeID,
    caller: Caller,
    reply: consuming EntryReply
  ) {
    guard case .directory(let children) = node(parent)?.content else {
      return reply.fail(Errno(ESTALE))
    }
    let found = name.withUnsafeBytes { name in
      children.first { nodes[$0].name.elementsEqual(name) }
    }
    guard let found else { return reply.answerMissing(for: .infinite) }
    reply.answer(
      Entry(node: NodeID(rawValue: UInt64(found + 1)), attributes: attributes(found))
    )
  }

  func forget(_ node: NodeID, count: UInt64) {
    forgotten.withLock { $0[node.rawValue, default: 0] &+= count }
  }

  func getattr(_ id: NodeID, caller: Caller, reply: consuming AttributesReply) {
    guard node(id) != nil else { return reply.fail(Errno(ESTALE)) }
    reply.answer(attributes(Int(id.rawValue) - 1))
  }

  func readlink(_ id: NodeID, caller: Caller, reply: consuming LinkReply) {
    guard case .link(let target) = node(id)?.content else { return reply.fail(Errno(EINVAL)) }
    reply.answer(target.span.bytes)
  }

  func open(_ id: NodeID, flags: OpenFlags, caller: Caller, reply: consuming OpenReply) {
    guard usesOpen else { return reply.fail(Errno(ENOSYS)) }
    openings.withLock { $0.append(flags) }
    guard case .backed(let file, _) = node(id)?.content else {
      return reply.answer(.none, options: .keepCache)
    }
    do throws(Errno) {
      let connection = kernel.withLock { $0 }
      guard let connection else { throw Errno(EIO) }
      reply.answer(.none, passthrough: try connection.registerBacking(file))
    } catch {
      reply.fail(error)
    }
  }

  func read(
    _ id: NodeID,
    handle: OpenHandle,
    offset: UInt64,
    caller: Caller,
    reply: consuming DataReply
  ) {
    switch node(id)?.content {
    case .bytes(let bytes):
      let start = Int(min(offset, UInt64(bytes.count)))
      reply.answer { send in
        bytes.withUnsafeBytes { send(UnsafeRawBufferPointer(rebasing: $0[start...])) }
      }
    case .failing(let size):
      let promised = min(reply.count, Int(size - min(offset, size)))
      reply.answer(count: promised) { buffer in max(0, buffer.count - 1) }
    case .file(let file, let size), .backed(let file, let size):
      let promised = min(reply.count, Int(size - min(offset, size)))
      reply.answer(file: file, offset: offset, count: promised)
    case .waiting:
      reply.detach { [interrupts] reply in
        try? await Task.sleep(for: .seconds(3600))
        if Task.isCancelled { interrupts.withLock { $0 += 1 } }
        reply.fail(Errno(EINTR))
      }
    case .dropping:
      break
    default:
      reply.fail(Errno(EISDIR))
    }
  }

  func readdir(
    _ id: NodeID,
    handle: OpenHandle,
    from cookie: UInt64,
    caller: Caller,
    reply: consuming DirectoryReply
  ) {
    guard let node = node(id), case .directory(let children) = node.content else {
      return reply.fail(Errno(ENOTDIR))
    }
    let own = attributes(Int(id.rawValue) - 1).inode
    let parent = attributes(node.parent).inode
    reply.answer { writer in
      if cookie < 1, !writer.add(".", inode: own, cookie: 1) { return }
      if cookie < 2, !writer.add("..", inode: parent, cookie: 2) { return }
      var index = Int(clamping: cookie < 2 ? 0 : cookie - 2)
      while index < children.count {
        let child = children[index]
        let entry = Entry(
          node: NodeID(rawValue: UInt64(child + 1)),
          attributes: attributes(child)
        )
        let name = nodes[child].name
        guard writer.add(name.span.bytes, entry: entry, cookie: UInt64(index + 3)) else { return }
        index += 1
      }
    }
  }
}
