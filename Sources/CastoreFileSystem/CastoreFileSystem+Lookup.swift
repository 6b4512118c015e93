internal import Castore
public import FUSE
internal import Glibc
internal import Platform

extension CastoreFileSystem {
  /// Finds a name; a miss below the root is remembered by the kernel for ever.
  public func lookup(
    _ name: RawSpan,
    in parent: NodeID,
    caller: Caller,
    reply: consuming EntryReply
  ) {
    if isDots(name) { return lookupDots(name.byteCount, parent, reply) }
    if parent == .root { return lookupRoot(name, reply) }
    do throws(Errno) {
      let record = try directory(parent)
      do throws(ServiceError) {
        if let directory = try directories.atHand(record.digest) {
          return answer(reply, name, directory, parent)
        }
      } catch {
        throw failure(error, "looking up a name in directory \(record.digest)")
      }
      let name = name.withUnsafeBytes { [UInt8]($0) }
      reply.detach { [self] reply in
        do {
          guard let directory = try await directories.load(record.digest) else {
            throw ServiceError(.notFound, "directory \(record.digest) is missing")
          }
          answer(reply, name.span.bytes, directory, parent)
        } catch {
          reply.fail(failure(error, "looking up a name in directory \(record.digest)"))
        }
      }
    } catch {
      reply.fail(error)
    }
  }

  private func answer<Reply: Answering & ~Copyable & ~Escapable>(
    _ reply: consuming Reply,
    _ name: RawSpan,
    _ directory: LoadedDirectory,
    _ parent: NodeID
  ) where Reply.Kind == ReplyKind.Entry {
    let index = directory.index
    guard let position = index.index(ofName: name) else {
      return reply.answerMissing(for: .infinite)
    }
    let view = index.entry(at: position)
    let child = Child(view)
    do throws(Errno) {
      reply.answer(
        try entry(
          child,
          parent: parent.rawValue,
          position: UInt64(position),
          target: view.target
        )
      )
    } catch {
      reply.fail(error)
    }
  }

  private func lookupRoot(_ name: RawSpan, _ reply: consuming EntryReply) {
    let component: PathComponent
    do throws(PathComponentError) {
      component = try PathComponent(name)
    } catch {
      return reply.answerMissing(for: .infinite)
    }
    if let localRoots {
      do throws(ServiceError) {
        let node = try localRoots.nodeLocal(named: component)
        return answerRoot(reply, component, node)
      } catch {
        return reply.fail(failure(error, "looking up root \(component)"))
      }
    }
    reply.detach { [self] reply in
      do throws(ServiceError) {
        let node = try await roots.node(named: component)
        answerRoot(reply, component, node)
      } catch {
        reply.fail(failure(error, "looking up root \(component)"))
      }
    }
  }

  private func answerRoot<Reply: Answering & ~Copyable & ~Escapable>(
    _ reply: consuming Reply,
    _ name: PathComponent,
    _ node: Node?
  ) where Reply.Kind == ReplyKind.Entry {
    guard let node else { return reply.answerMissing(for: options.rootValidity) }
    do throws(Errno) {
      reply.answer(try rootEntry(name, node))
    } catch {
      reply.fail(error)
    }
  }

  // `.` and `..` come from file handles (`open_by_handle_at(2)`), for any node that was ever known.
  private func isDots(_ name: RawSpan) -> Bool {
    name.withUnsafeBytes { bytes in
      bytes.count <= 2 && bytes.allSatisfy { $0 == UInt8(ascii: ".") }
    }
  }

  private func lookupDots(_ count: Int, _ node: NodeID, _ reply: consuming EntryReply) {
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
    guard let record = nodes.retain(wanted.rawValue) else { return reply.fail(Errno(ESTALE)) }
    reply.answer(
      Entry(node: wanted, attributes: attributes(of: record), nameValidity: .none)
    )
  }
}
