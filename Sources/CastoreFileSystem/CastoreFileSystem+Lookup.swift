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
      answer(reply, name, directory, record)
    } later: {
      let name = name.withUnsafeBytes { [UInt8]($0) }
      return { [self] reply, record, directory in
        answer(reply, name.span.bytes, directory, record)
      }
    }
  }

  private func answer<Reply: Answering & ~Copyable & ~Escapable>(
    _ reply: consuming Reply,
    _ name: RawSpan,
    _ directory: LoadedDirectory,
    _ parent: NodeRecord
  ) where Reply.Kind == ReplyKind.Entry {
    let index = directory.index
    guard let position = index.index(ofName: name) else {
      return reply.answerMissing(for: .infinite)
    }
    do throws(Errno) {
      reply.answer(try entry(at: position, of: directory, in: parent))
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
}
