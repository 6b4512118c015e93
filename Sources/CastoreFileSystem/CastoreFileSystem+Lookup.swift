internal import Castore
public import FUSE
internal import Glibc
internal import Logging
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
    withDirectory(parent, reply, "looking up a name in directory") { reply, record, directory in
      answer(reply, name, directory, parent, inode(of: record))
    } later: {
      let name = name.withUnsafeBytes { [UInt8]($0) }
      return { [self] reply, record, directory in
        answer(reply, name.span.bytes, directory, parent, inode(of: record))
      }
    }
  }

  private func answer<Reply: Answering & ~Copyable & ~Escapable>(
    _ reply: consuming Reply,
    _ name: RawSpan,
    _ directory: LoadedDirectory,
    _ parent: NodeID,
    _ parentInode: InodeNumber
  ) where Reply.Kind == ReplyKind.Entry {
    let index = directory.index
    guard let position = index.index(ofName: name) else {
      return reply.answerMissing(for: .infinite)
    }
    let view = index.entry(at: position)
    do throws(Errno) {
      reply.answer(
        try entry(
          Child(view),
          parent: parent.rawValue,
          position: self.position(of: view.name, entry: UInt64(position), in: parentInode),
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
    if let node = knownRoots?.nodeInSilence(named: component) {
      return answerRoot(reply, component, node)
    }
    reply.detach { [self] reply in
      let known = knownRoots?.node(named: component)
      do throws(ServiceError) {
        let node = try await askForRoot(component, isKnown: known != nil)
        knownRoots?.noteAnswer()
        if node == nil { knownRoots?.forget(component) }
        answerRoot(reply, component, node)
      } catch {
        // Only the store can say that a name stands for something else.
        guard !Task.isCancelled, let known else {
          return reply.fail(failure(error, "looking up root \(component)"))
        }
        logger.warning("root \(component) stays what it was: \(error)")
        knownRoots?.noteSilence(for: options.rootPatience)
        answerRoot(reply, component, known)
      }
    }
  }

  /// Asks the store what a name stands for; not for long where something is known.
  private func askForRoot(
    _ name: PathComponent,
    isKnown: Bool
  ) async throws(ServiceError) -> Node? {
    guard isKnown else { return try await roots.node(named: name) }
    let (roots, patience) = (roots, options.rootPatience)
    do {
      return try await withThrowingTaskGroup(of: Node?.self) { group in
        defer { group.cancelAll() }
        group.addTask { try await roots.node(named: name) }
        group.addTask {
          try await Task.sleep(for: patience)
          throw ServiceError(.unavailable, "the store has not answered within \(patience)")
        }
        return try await group.next() ?? nil
      }
    } catch let error as ServiceError {
      throw error
    } catch {
      throw ServiceError(.cancelled, "looking up root \(name) was cancelled", cause: error)
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
