internal import Glibc
internal import Platform

/// The way back to the client for one request.
///
/// Each of its methods sends one complete reply. Whatever fails on the way to the client turns into
/// an `EIO` reply: never a shorter answer, which the kernel would take for the end of the file.
public struct ReplyPort {
  /// Set for a reply that is answered on the worker's thread.
  let worker: Unmanaged<Worker>?
  /// Set for a reply that was detached; keeps what the answer needs alive.
  let detached: DetachedState?
  let unique: UInt64
  let token: UInt
  let capacity: Int

  init(worker: Unmanaged<Worker>, unique: UInt64, token: UInt, capacity: Int) {
    self.worker = worker
    self.detached = nil
    self.unique = unique
    self.token = token
    self.capacity = capacity
  }

  init(detached: DetachedState) {
    self.worker = nil
    self.detached = detached
    self.unique = detached.unique
    self.token = detached.token
    self.capacity = detached.capacity
  }

  func send(error: CInt) {
    // The kernel refuses numbers outside of (0, 512), and the client would wait for ever.
    let code = error > 0 && error < 512 ? error : EIO
    let header = ReplyHeader(unique: unique, error: -code, bodyCount: 0)
    _ = transmit(header, UnsafeRawBufferPointer(start: nil, count: 0))
    detached?.finished()
  }

  func send<Body: BitwiseCopyable>(_ body: Body) {
    withUnsafeBytes(of: body) { send(bytes: $0) }
  }

  func send(bytes: UnsafeRawBufferPointer) {
    guard bytes.count <= capacity else { return send(error: EIO) }
    let header = ReplyHeader(unique: unique, error: 0, bodyCount: bytes.count)
    guard transmit(header, bytes) else { return send(error: EIO) }
    detached?.finished()
  }

  func send(file: CInt, offset: UInt64, count: Int) {
    guard count <= capacity, let offset = Int64(exactly: offset) else { return send(error: EIO) }
    let header = ReplyHeader(unique: unique, error: 0, bodyCount: count)
    let sent = withScratch(count) { scratch in
      channel.send(header, file: file, offset: offset, scratch: scratch, token: token)
    }
    guard sent == .sent || sent == .clientGone else { return send(error: EIO) }
    detached?.finished()
  }

  /// Lets `fill` write into scratch memory and sends it if all of `count` bytes came.
  func send(count: Int, fill: (UnsafeMutableRawBufferPointer) -> Int) {
    guard count <= capacity else { return send(error: EIO) }
    let sent = withScratch(count) { scratch in
      guard scratch.count == count, fill(scratch) == count else { return false }
      let header = ReplyHeader(unique: unique, error: 0, bodyCount: count)
      return transmit(header, UnsafeRawBufferPointer(scratch))
    }
    guard sent else { return send(error: EIO) }
    detached?.finished()
  }

  /// Lets `fill` write at most `limit` bytes and sends as many as it says.
  func send(
    upTo limit: Int,
    fill: (UnsafeMutableRawBufferPointer) throws(Errno) -> Int
  ) {
    let room = max(0, min(limit, capacity, Self.listingLimit))
    let failure: CInt? = withScratch(room) { scratch in
      guard scratch.count == room else { return ENOMEM }
      do throws(Errno) {
        let count = try fill(scratch)
        let header = ReplyHeader(unique: unique, error: 0, bodyCount: count)
        let body = UnsafeRawBufferPointer(rebasing: scratch.prefix(count))
        return transmit(header, body) ? nil : EIO
      } catch {
        return error.code
      }
    }
    if let failure { return send(error: failure) }
    detached?.finished()
  }

  /// Listings may come in pieces of any size, so that a large wish needs no large memory.
  private static let listingLimit = 1 << 20

  /// Memory of `count` bytes: the worker's own, or fresh for a detached reply. Shorter if there is none.
  private func withScratch<Result>(
    _ count: Int,
    _ body: (UnsafeMutableRawBufferPointer) -> Result
  ) -> Result {
    if let worker {
      return body(worker._withUnsafeGuaranteedRef { $0.scratch(count) })
    }
    var fresh = ScratchBuffer()
    return body(fresh.reserve(count))
  }

  private var channel: any ReplyChannel {
    if let worker { return worker._withUnsafeGuaranteedRef { $0.channel } }
    guard let detached else { preconditionFailure("a port has a worker or a detached state") }
    return detached.channel
  }

  /// True if the client has the reply, or wants none any more.
  private func transmit(_ header: ReplyHeader, _ body: UnsafeRawBufferPointer) -> Bool {
    switch channel.send(header, body: body, token: token) {
    case .sent, .clientGone: true
    case .failed: false
    }
  }
}
