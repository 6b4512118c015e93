internal import Glibc
internal import Platform

/// How replies travel: implemented by a transport.
///
/// Called on the worker's thread, and for detached replies on any other, several at once.
public protocol ReplyChannel: AnyObject, Sendable {
  /// Sends header and body as one reply, whole or not at all.
  ///
  /// - Parameters:
  ///   - header: Goes out as it lies in memory.
  ///   - body: What follows it, as long as the header says. May be memory that cannot be read
  ///     (a mapped file whose disk fails): that is `.failed`, not a crash, where the system call allows.
  ///   - token: What the transport passed in with the request.
  func send(_ header: ReplyHeader, body: UnsafeRawBufferPointer, token: UInt) -> SendResult

  /// Sends header and as many bytes of a file as the header announces: all or nothing.
  ///
  /// - Parameter scratch: Memory of that size, for transports that cannot read into the client's own.
  ///   Shorter where memory is out: then it is `.failed`.
  func send(
    _ header: ReplyHeader,
    file: CInt,
    offset: Int64,
    scratch: UnsafeMutableRawBufferPointer,
    token: UInt
  ) -> SendResult
}

/// What became of a reply.
public enum SendResult: Sendable {
  /// The client has it.
  case sent
  /// The client does not want it any more (interrupted, unmounted); nothing remains to be done.
  case clientGone
  /// It could not be sent, nothing went out; an error reply may be tried.
  case failed
}

extension ReplyChannel {
  /// Reads the file into `scratch` and sends that.
  public func send(
    _ header: ReplyHeader,
    file: CInt,
    offset: Int64,
    scratch: UnsafeMutableRawBufferPointer,
    token: UInt
  ) -> SendResult {
    guard scratch.count == header.bodyCount else { return .failed }
    var done = 0
    while done < scratch.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: scratch[done...])
      // No overflow: the sum is below Int64.max or pread refuses it.
      let position = Int(offset &+ Int64(done))
      let count = pread(file, rest.baseAddress, rest.count, position)
      if count == -1 && errno == EINTR { continue }
      // An early end of the file is a failure: a promise of `count` bytes was made.
      guard count > 0 else { return .failed }
      done += count
    }
    return send(header, body: UnsafeRawBufferPointer(scratch), token: token)
  }
}

/// The 16 bytes before each reply, as on the wire.
public struct ReplyHeader: BitwiseCopyable, Sendable {
  /// Length of the whole reply.
  public let length: UInt32
  /// 0 or a negated error number.
  public let error: Int32
  /// Which request it answers.
  public let unique: UInt64

  /// How many bytes follow the header.
  public var bodyCount: Int { Int(length) - MemoryLayout<ReplyHeader>.size }

  /// A header for a body of a size that fits 32 bits.
  init(unique: UInt64, error: Int32, bodyCount: Int) {
    self.length = UInt32(clamping: bodyCount &+ 16)
    self.error = error
    self.unique = unique
  }
}
