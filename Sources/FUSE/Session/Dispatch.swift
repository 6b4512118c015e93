internal import Glibc
internal import Platform

extension Worker {
  /// Checks a request and calls the method of the file system that answers it.
  func dispatch(
    _ message: UnsafeRawBufferPointer,
    to fileSystem: some FileSystem
  ) -> HandlingOutcome {
    guard message.count >= MemoryLayout<RequestHeader>.size else { return .malformed }
    let header: RequestHeader
    let opcode: Opcode?
    do throws(WireError) {
      var reader = try MessageReader(message)
      header = reader.header
      opcode = Opcode(rawValue: header.opcode)
      callerThread = header.thread
      counters.count(opcode == nil ? 0 : header.opcode)
      switch opcode {
      case .forget, .batchForget, .interrupt, .notifyReply:
        // No reply, not even to a malformed one. What is broken there is dropped.
        return try handleUnanswered(opcode, &reader, fileSystem)
      case .initialize:
        try handleInit(&reader, fileSystem)
        return .replied
      case .destroy:
        session.reset()
        EmptyReply(worker: self, unique: header.unique, limit: 0).answer()
        return .replied
      default:
        guard session.isInitialized else {
          refuse(header.unique, EIO)
          return .replied
        }
        try handle(opcode, &reader, fileSystem)
        return .replied
      }
    } catch {
      let broken = message.loadUnaligned(as: RequestHeader.self)
      switch Opcode(rawValue: broken.opcode) {
      case .forget, .batchForget, .interrupt, .notifyReply: return .noReply
      default: break
      }
      refuse(broken.unique, error.errno)
      return .replied
    }
  }

  func refuse(_ unique: UInt64, _ error: CInt) {
    EmptyReply(worker: self, unique: unique, limit: 0).fail(Errno(error))
  }

  private func handleUnanswered(
    _ opcode: Opcode?,
    _ reader: inout MessageReader,
    _ fileSystem: some FileSystem
  ) throws(WireError) -> HandlingOutcome {
    switch opcode {
    case .forget:
      let count = try reader.take(ForgetIn.self).count
      guard session.isInitialized else { return .noReply }
      fileSystem.forget(NodeID(rawValue: reader.header.node), count: count)
    case .batchForget:
      // Counted down by the bytes that are there: the number in the message is only a claim.
      var remaining = try reader.take(BatchForgetIn.self).count
      guard session.isInitialized else { return .noReply }
      while remaining > 0 {
        let item = try reader.take(ForgetOne.self)
        fileSystem.forget(NodeID(rawValue: item.node), count: item.count)
        remaining -= 1
      }
    case .interrupt:
      let victim = try reader.take(InterruptIn.self).unique
      // The client stops asking. Whether the ids of a guest's threads mean anything here is not for it to learn.
      guard session.configuration.hasLocalCallers else {
        refuse(reader.header.unique, ENOSYS)
        return .replied
      }
      guard !session.detached.interrupt(victim) else { return .noReply }
      // The kernel tells us of signals once. EAGAIN makes it tell us again while the request waits:
      // a deadly one may follow, or another thread may be about to detach the reply. Not at once, or
      // this would spin.
      EmptyReply(worker: self, unique: reader.header.unique, limit: 0).detach { reply in
        try? await Task.sleep(for: .milliseconds(50))
        reply.fail(Errno(EAGAIN))
      }
      return .replied
    default:
      break
    }
    return .noReply
  }

  private func handleInit(
    _ reader: inout MessageReader,
    _ fileSystem: some FileSystem
  ) throws(WireError) {
    let unique = reader.header.unique
    // Clients that are too old send only this much.
    let request = try reader.take(atLeast: 8, of: InitIn())
    // A second INIT begins anew: a virtual machine was restarted.
    session.reset()
    let outcome = InitNegotiation.answer(
      request,
      configuration: session.configuration,
      kernel: session.kernel
    ) { fileSystem.initialize(&$0) }
    let reply = Reply<ReplyKind.Empty>(worker: self, unique: unique, limit: 0)
    switch outcome {
    case .refuse(let refusal):
      // Before the reply: whoever waits for the session is told by this.
      session.refuse(refusal)
      reply.fail(Errno(EPROTO))
    case .proposeMajor(let out):
      reply._takePort().send(out)
    case .agree(let out, let agreement):
      // Before the reply: the next request may be with another thread before `send` returns.
      session.begin(agreement)
      reply._takePort().send(out)
    }
  }
}
