internal import Castore
internal import FUSE
internal import Glibc
internal import Platform

// `.` and `..` come from file handles (`open_by_handle_at(2)`, NFS): for any id that was ever handed out, also
// long after the kernel forgot the node.
extension CastoreFileSystem {
  func isDots(_ name: RawSpan) -> Bool {
    name.withUnsafeBytes { bytes in
      bytes.count <= 2 && bytes.allSatisfy { $0 == UInt8(ascii: ".") }
    }
  }

  func lookupDots(_ count: Int, _ node: NodeID, _ reply: consuming EntryReply) {
    var wanted = node
    if count == 2 && node != .root {
      guard let record = nodes.record(node.rawValue) else { return reply.fail(Errno(ESTALE)) }
      guard record.kind == .directory else { return reply.fail(Errno(ENOTDIR)) }
      wanted = NodeID(rawValue: record.parent)
    }
    if wanted == .root {
      return reply.answer(
        Entry(
          node: .root,
          attributes: rootAttributes(),
          nameValidity: .none,
          attributesValidity: options.rootValidity
        )
      )
    }
    if let record = nodes.retain(wanted.rawValue) {
      return reply.answer(
        Entry(node: wanted, attributes: attributes(of: record), nameValidity: .none)
      )
    }
    guard let place = NodePlace(id: wanted.rawValue) else { return reply.fail(Errno(ESTALE)) }
    reply.detach { [self, wanted] reply in
      do {
        guard var entry = try await recall(wanted.rawValue, at: place) else {
          return reply.fail(Errno(ESTALE))
        }
        entry.nameValidity = .none
        reply.answer(entry)
      } catch {
        reply.fail(error as? Errno ?? failure(error, "looking for a file handle's node"))
      }
    }
  }

  /// Makes the node of an id that was forgotten anew, going down from its root.
  ///
  /// - Returns: Its entry, with one lookup counted; `nil` where no such id was handed out, or where what
  ///   leads to it is not in the store any more.
  private func recall(_ id: UInt64, at place: NodePlace) async throws -> Entry? {
    guard let root = places.root(place.root) else { return nil }
    let key = key(of: root.child, parent: NodeID.root.rawValue, position: root.name)
    let isRoot = place.index == 0
    var entry = try entry(
      root.child,
      key,
      root.name,
      root.target.span.bytes,
      NodePlace(root: place.root),
      as: isRoot ? id : nil
    )
    var rest = place.index
    while rest > 0 {
      // Held by the lookup that was counted, and by its child once there is one.
      let parent = entry.node.rawValue
      defer { nodes.forget(parent, lookups: 1) }
      guard let record = nodes.record(parent), record.kind == .directory,
        let directory = try await existing(record.digest),
        let position = directory.numbering.position(at: rest)
      else { return nil }
      let offset = directory.numbering.offset(of: position)
      rest -= offset
      entry = try self.entry(at: position, of: directory, in: record, as: rest == 0 ? id : nil)
    }
    return entry
  }

  private func existing(_ directory: B3Digest) async throws -> LoadedDirectory? {
    do {
      return try await cache.directory(directory)
    } catch let error as ServiceError where error.code == .notFound {
      return nil
    }
  }
}
