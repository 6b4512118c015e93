internal import Glibc
internal import Platform

/// The way back to the client for one request.
///
/// Each of its methods sends one complete reply, and says whether the client has it. Whatever fails on the
/// way to the client turns into an `EIO` reply: never a shorter answer, which the kernel would take for the
/// end of the file.
public struct ReplyPort {
  enum Way {
    /// The reply is answered on the worker's thread.
    case attached(Unmanaged<Worker>, unique: UInt64, token: UInt, capacity: Int)
    /// It was detached, and nobody has answered yet.
    case detached(DetachedState)
    /// It was detached, and somebody else was faster: nothing is sent.
    case answered(DetachedState)
  }

  let way: Way

  /// False where somebody else has answered: then no answer need be made.
  var isOpen: Bool {
    if case .answered = way { return false }
    return true
  }

  @discardableResult
  func send(error: CInt) -> Bool {
    // The kernel refuses numbers outside of (0, 512), and the client would wait for ever.
    let code = error > 0 && error < 512 ? error : EIO
    let header = ReplyHeader(unique: unique, error: -code, bodyCount: 0)
    return finish(transmit(header, UnsafeRawBufferPointer(start: nil, count: 0)) != .sent)
  }

  @discardableResult
  func send<Body: BitwiseCopyable>(_ body: Body) -> Bool {
    withUnsafeBytes(of: body) { send(bytes: $0) }
  }

  @discardableResult
  func send(bytes: UnsafeRawBufferPointer) -> Bool {
    guard bytes.count <= capacity else { return fail(EIO) }
    let header = ReplyHeader(unique: unique, error: 0, bodyCount: bytes.count)
    return conclude(transmit(header, bytes))
  }

  @discardableResult
  func send(file: CInt, offset: UInt64, count: Int) -> Bool {
    guard count <= capacity, let offset = Int64(exactly: offset) else { return fail(EIO) }
    guard isOpen else { return false }
    let header = ReplyHeader(unique: unique, error: 0, bodyCount: count)
    return conclude(
      withScratch(count) { scratch in
        channel.send(header, file: file, offset: offset, scratch: scratch, token: token)
      }
    )
  }

  /// Lets `fill` write into scratch memory and sends it if all of `count` bytes came.
  @discardableResult
  func send(count: Int, fill: (UnsafeMutableRawBufferPointer) -> Int) -> Bool {
    guard count <= capacity else { return fail(EIO) }
    guard isOpen else { return false }
    return conclude(
      withScratch(count) { scratch in
        guard scratch.count == count, fill(scratch) == count else { return .failed }
        let header = ReplyHeader(unique: unique, error: 0, bodyCount: count)
        return transmit(header, UnsafeRawBufferPointer(scratch))
      }
    )
  }

  /// Lets `fill` write at most `limit` bytes and sends as many as it says.
  ///
  /// - Parameter onLoss: Gets what `fill` wrote if the client does not get it.
  func send(
    upTo limit: Int,
    fill: (UnsafeMutableRawBufferPointer) throws(Errno) -> Int,
    onLoss: (UnsafeRawBufferPointer) -> Void
  ) {
    guard isOpen else { return }
    let room = max(0, min(limit, capacity, Self.listingLimit))
    let result: Result<SendResult, Errno> = withScratch(room) { scratch in
      guard scratch.count == room else { return .failure(Errno(ENOMEM)) }
      do throws(Errno) {
        let count = try fill(scratch)
        let header = ReplyHeader(unique: unique, error: 0, bodyCount: count)
        let body = UnsafeRawBufferPointer(rebasing: scratch.prefix(count))
        let result = transmit(header, body)
        if result != .sent { onLoss(body) }
        return .success(result)
      } catch {
        return .failure(error)
      }
    }
    switch result {
    case .success(let result): _ = conclude(result)
    case .failure(let error): send(error: error.code)
    }
  }

  /// Listings may come in pieces of any size, so that a large wish needs no large memory.
  private static let listingLimit = 1 << 20

  /// Takes back what an answer that did not arrive has counted.
  func giveBack(_ node: NodeID) {
    guard node != .none else { return }
    switch way {
    case .attached(let worker, _, _, _):
      worker._withUnsafeGuaranteedRef { $0.session.fileSystem.forget(node, count: 1) }
    case .detached(let state), .answered(let state):
      state.session.fileSystem.forget(node, count: 1)
    }
  }

  private var unique: UInt64 {
    switch way {
    case .attached(_, let unique, _, _): unique
    case .detached(let state), .answered(let state): state.unique
    }
  }

  private var token: UInt {
    switch way {
    case .attached(_, _, let token, _): token
    case .detached(let state), .answered(let state): state.token
    }
  }

  private var capacity: Int {
    switch way {
    case .attached(_, _, _, let capacity): capacity
    case .detached(let state), .answered(let state): state.capacity
    }
  }

  private var channel: any ReplyChannel {
    switch way {
    case .attached(let worker, _, _, _): worker._withUnsafeGuaranteedRef { $0.channel }
    case .detached(let state), .answered(let state): state.channel
    }
  }

  /// Memory of `count` bytes: the worker's own, or fresh for a detached reply. Shorter if there is none.
  private func withScratch<Result>(
    _ count: Int,
    _ body: (UnsafeMutableRawBufferPointer) -> Result
  ) -> Result {
    if case .attached(let worker, _, _, _) = way {
      return body(worker._withUnsafeGuaranteedRef { $0.scratch(count) })
    }
    var fresh = ScratchBuffer()
    return body(fresh.reserve(count))
  }

  private func transmit(_ header: ReplyHeader, _ body: UnsafeRawBufferPointer) -> SendResult {
    guard isOpen else { return .clientGone }
    return channel.send(header, body: body, token: token)
  }

  private func conclude(_ result: SendResult) -> Bool {
    result == .failed ? fail(EIO) : finish(result == .clientGone)
  }

  private func fail(_ error: CInt) -> Bool {
    send(error: error)
    return false
  }

  /// The reply has gone out, or nobody wants it.
  private func finish(_ isLost: Bool) -> Bool {
    if case .detached(let state) = way { state.finished() }
    return !isLost
  }
}
