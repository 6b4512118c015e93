internal import Glibc
public import Platform

/// What sends the bytes that a request for data is answered with: once, by whichever way suits them.
///
/// Exactly `count` bytes must come. The first call counts, later ones do nothing.
public struct DataSender: ~Copyable {
  /// How many bytes the answer has.
  public let count: Int
  /// Whether the answer is given.
  public private(set) var isSpent = false
  private let port: ReplyPort

  init(_ port: ReplyPort, count: Int) {
    self.port = port
    self.count = count
  }

  /// Sends bytes that lie in memory; fewer or more than `count` are `EIO`.
  public mutating func send(_ bytes: UnsafeRawBufferPointer) {
    guard spend() else { return }
    if bytes.count == count { port.send(bytes: bytes) } else { port.send(error: EIO) }
  }

  /// Sends bytes of an open file, from an offset on: straight into the client's memory where the transport
  /// can. If they are not all there, `EIO`.
  public mutating func send(file: CInt, offset: UInt64) {
    guard spend() else { return }
    port.send(file: file, offset: offset, count: count)
  }

  /// Lends memory of `count` bytes to be filled, and sends it. `body` returns how many bytes it wrote:
  /// anything but all of them is `EIO`.
  public mutating func fill(_ body: (UnsafeMutableRawBufferPointer) -> Int) {
    guard spend() else { return }
    port.send(count: count, fill: body)
  }

  /// Answers with an error.
  public mutating func fail(_ error: Errno) {
    guard spend() else { return }
    port.send(error: error.code)
  }

  private mutating func spend() -> Bool {
    defer { isSpent = true }
    return !isSpent
  }
}

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.Data {
  /// Answers with exactly `byteCount` bytes, at most `count`, that `body` sends: from memory that can only be
  /// reached in a closure, from an open file, or by writing them.
  ///
  /// Where it sends nothing, the answer is the error thrown, or `EIO`.
  public consuming func answer(
    count byteCount: Int,
    _ body: (inout DataSender) throws(Errno) -> Void
  ) {
    let byteCount = Swift.max(0, Swift.min(byteCount, _limit))
    let port = _takePort()
    guard port.isOpen else { return }
    var sender = DataSender(port, count: byteCount)
    do throws(Errno) {
      try body(&sender)
      sender.fail(Errno(EIO))
    } catch {
      sender.fail(error)
    }
  }
}
