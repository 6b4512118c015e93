internal import Castore
public import FUSE
internal import Glibc
internal import Platform

/// Cookies: 1 behind `.`, 2 behind `..`, `n + 3` behind entry `n`. The root's carry the serial
/// number of the listing above that.
private enum Cookie {
  static let self_: UInt64 = 1
  static let parent: UInt64 = 2
  static func behind(_ position: Int) -> UInt64 { UInt64(position) + 3 }

  /// The entry that follows a cookie.
  static func position(_ cookie: UInt64) -> Int { Int(clamping: max(cookie, parent) - parent) }
}

extension CastoreFileSystem {
  /// Lists a directory, in bytewise order of the names.
  public func readdir(
    _ node: NodeID,
    handle: OpenHandle,
    from cookie: UInt64,
    caller: Caller,
    reply: consuming DirectoryReply
  ) {
    if node == .root { return listRoot(cookie, reply) }
    withDirectory(node, reply, "listing directory") { reply, record, directory in
      answer(reply, record, directory, cookie)
    } later: {
      { [self] reply, record, directory in answer(reply, record, directory, cookie) }
    }
  }

  private func answer<Reply: Answering & ~Copyable & ~Escapable>(
    _ reply: consuming Reply,
    _ record: NodeRecord,
    _ directory: LoadedDirectory,
    _ cookie: UInt64
  ) where Reply.Kind == ReplyKind.Directory {
    reply.answer { writer throws(Errno) in
      if cookie < Cookie.self_ {
        guard writer.add(".", inode: inode(of: record), cookie: Cookie.self_) else { return }
      }
      if cookie < Cookie.parent {
        let inode = try parentInode(record)
        guard writer.add("..", inode: inode, cookie: Cookie.parent) else { return }
      }
      let index = directory.index
      let number = inode(of: record)
      var place = Cookie.position(cookie)
      while place < index.count {
        let view = index.entry(at: place)
        let behind = Cookie.behind(place)
        if writer.wantsEntries {
          let entry = try entry(at: place, of: directory, in: record)
          guard writer.add(view.name, entry: entry, cookie: behind) else {
            // It did not fit: the kernel does not learn of this lookup.
            nodes.forget(entry.node.rawValue, lookups: 1)
            return
          }
        } else {
          let child = Child(view)
          let type = child.kind.type
          let position = position(of: view.name, entry: UInt64(place), in: number)
          let inode = inode(child.kind, child.digest, position: position)
          guard writer.add(view.name, inode: inode, type: type, cookie: behind) else { return }
        }
        place += 1
      }
    }
  }

  private func parentInode(_ record: NodeRecord) throws(Errno) -> InodeNumber {
    if record.parent == NodeID.root.rawValue { return .root }
    // Its child keeps it, unless the client forgot the child while it asked.
    guard let parent = nodes.record(record.parent) else { throw Errno(ESTALE) }
    return inode(of: parent)
  }

  private func listRoot(_ cookie: UInt64, _ reply: consuming DirectoryReply) {
    guard options.listsRoot else { return reply.fail(Errno(EPERM)) }
    reply.detach { [self] reply in
      do {
        let serial = cookie >> 32
        let listing = await serial == 0 ? listings.begin() : listings.resume(serial)
        let place = cookie & 0xFFFF_FFFF
        let first = Cookie.position(place)
        // Fetched before the answer begins: more than fit in the largest reply there is.
        let entries = try await listing.entries(from: first, limit: 4096)
        answer(reply, entries, place, listing.serial << 32)
      } catch {
        reply.fail(failure(error, "listing the roots"))
      }
    }
  }

  private func answer(
    _ reply: consuming DetachedReply<ReplyKind.Directory>,
    _ entries: ArraySlice<NamedNode>,
    _ place: UInt64,
    _ serial: UInt64
  ) {
    reply.answer { writer throws(Errno) in
      let root = InodeNumber.root
      if place < Cookie.self_ {
        guard writer.add(".", inode: root, cookie: serial | Cookie.self_) else { return }
      }
      if place < Cookie.parent {
        guard writer.add("..", inode: root, cookie: serial | Cookie.parent) else { return }
      }
      for position in entries.indices {
        let (name, node) = (entries[position].name, entries[position].node)
        let behind = serial | Cookie.behind(position)
        if writer.wantsEntries {
          let entry = try rootEntry(name, node)
          guard writer.add(name.bytes.span.bytes, entry: entry, cookie: behind) else {
            nodes.forget(entry.node.rawValue, lookups: 1)
            return
          }
        } else {
          let child = Child(node)
          let type = child.kind.type
          let bytes = name.bytes.span.bytes
          let inode = inode(child.kind, child.digest, position: rootPosition(name))
          guard writer.add(bytes, inode: inode, type: type, cookie: behind) else { return }
        }
      }
    }
  }
}
