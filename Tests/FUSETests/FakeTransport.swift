import FUSE
import Platform

/// Keeps the replies of a session instead of sending them.
final class FakeChannel: ReplyChannel {
  struct Sent: Equatable {
    var unique: UInt64
    var error: Int32
    var body: [UInt8]
    var token: UInt
  }

  let replies = Guarded<[Sent]>([])
  /// What the next sends of a body say.
  let failures = Guarded(0)
  let failure = Guarded(SendResult.failed)

  func send(_ header: ReplyHeader, body: UnsafeRawBufferPointer, token: UInt) -> SendResult {
    let fails = failures.withLock { failures in
      guard failures > 0, !body.isEmpty else { return false }
      failures -= 1
      return true
    }
    if fails { return failure.withLock { $0 } }
    precondition(header.bodyCount == body.count, "a reply is as long as it says")
    precondition(header.error <= 0 && header.error > -512, "the kernel takes no other numbers")
    precondition(header.error == 0 || body.isEmpty, "errors have no body")
    replies.withLock {
      $0.append(
        Sent(unique: header.unique, error: header.error, body: Array(body), token: token)
      )
    }
    return .sent
  }

  var sent: [Sent] { replies.withLock { $0 } }
}

/// Builds requests as the kernel sends them.
struct Message {
  var bytes: [UInt8] = []

  init(
    _ opcode: UInt32,
    unique: UInt64 = 2,
    node: UInt64 = 1,
    _ parts: [[UInt8]] = []
  ) {
    let body = parts.flatMap { $0 }
    append(UInt32(40 + body.count))
    append(opcode)
    append(unique)
    append(node)
    append(UInt32(0))
    append(UInt32(0))
    // A thread that cannot be seen from here.
    append(UInt32(0))
    append(UInt32(0))
    bytes += body
  }

  init(_ opcode: Opcode, unique: UInt64 = 2, node: UInt64 = 1, _ parts: [[UInt8]] = []) {
    self.init(opcode.rawValue, unique: unique, node: node, parts)
  }

  private mutating func append(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
  }

  static func pack(_ values: any FixedWidthInteger...) -> [UInt8] {
    values.flatMap { value in withUnsafeBytes(of: value) { Array($0) } }
  }

  static func name(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }

  static func initialize(
    major: UInt32 = 7,
    minor: UInt32 = 45,
    flags: UInt64 = 0x5fd_73ff_fffb
  ) -> Message {
    Message(
      .initialize,
      unique: 1,
      [
        pack(
          major,
          minor,
          UInt32(131072),
          UInt32(truncatingIfNeeded: flags),
          UInt32(flags >> 32)
        ), [UInt8](repeating: 0, count: 44),
      ]
    )
  }

  static func read(_ node: UInt64, unique: UInt64 = 2, offset: UInt64 = 0, size: UInt32) -> Message
  {
    let body = pack(UInt64(0), offset, size, UInt32(0), UInt64(0), UInt32(0), UInt32(0))
    return Message(.read, unique: unique, node: node, [body])
  }

  static func readdir(
    _ opcode: Opcode = .readdir,
    node: UInt64 = 1,
    unique: UInt64 = 2,
    cookie: UInt64 = 0,
    size: UInt32
  ) -> Message {
    let body = pack(UInt64(0), cookie, size, UInt32(0), UInt64(0), UInt32(0), UInt32(0))
    return Message(opcode, unique: unique, node: node, [body])
  }
}

extension Worker {
  @discardableResult
  func handle(_ message: Message, replyCapacity: Int = .max, token: UInt = 0) -> HandlingOutcome {
    message.bytes.withUnsafeBytes { handle($0, replyCapacity: replyCapacity, token: token) }
  }
}
