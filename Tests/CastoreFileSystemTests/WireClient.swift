import FUSE
import Platform

/// A client that speaks the protocol to a session without a kernel, and counts what it is told of.
final class WireClient: ReplyChannel {
  /// What came back.
  struct Answer: Sendable {
    var error: Int32
    var body: [UInt8]
  }

  private struct State {
    var unique: UInt64 = 2
    var opcodes: [UInt64: UInt32] = [:]
    var answers: [UInt64: Latch<Answer>] = [:]
    var lookups: [UInt64: UInt64] = [:]
    var losing = 0
  }

  private let state = Guarded(State())

  /// How often each node was told of.
  var lookups: [UInt64: UInt64] { state.withLock { $0.lookups } }

  /// Loses the next so many answers with a body, as a client that goes away does.
  func lose(_ count: Int) { state.withLock { $0.losing = count } }

  func send(_ header: ReplyHeader, body: UnsafeRawBufferPointer, token: UInt) -> SendResult {
    let (latch, result): (Latch<Answer>?, SendResult) = state.withLock { state in
      if state.losing > 0 && !body.isEmpty {
        state.losing -= 1
        return (nil, state.losing % 2 == 0 ? .clientGone : .failed)
      }
      let nodes: [UInt64] =
        switch state.opcodes[header.unique] {
        case 1: Self.entryNode(body)
        case 44: Self.listedNodes(body)
        default: []
        }
      for node in nodes { state.lookups[node, default: 0] += 1 }
      return (state.answers[header.unique], .sent)
    }
    latch?.set(Answer(error: header.error, body: Array(body)))
    return result
  }

  /// Sends a request; the id that it has, and its answer as soon as there is one.
  @discardableResult
  func request(
    _ worker: Worker,
    _ opcode: UInt32,
    node: UInt64 = 1,
    _ body: [UInt8] = []
  ) -> (unique: UInt64, answer: Latch<Answer>) {
    let latch = Latch<Answer>()
    let unique = state.withLock { state in
      state.unique += 2
      state.opcodes[state.unique] = opcode
      state.answers[state.unique] = latch
      return state.unique
    }
    // Odd ids are INTERRUPTs'.
    let number = opcode == 36 ? unique | 1 : unique
    let message =
      Self.bytes(UInt32(40 + body.count)) + Self.bytes(opcode) + Self.bytes(number)
      + Self.bytes(node) + [UInt8](repeating: 0, count: 16) + body
    message.withUnsafeBytes { _ = worker.handle($0) }
    return (unique, latch)
  }

  func initialize(_ worker: Worker) {
    let values: [UInt32] = [7, 45, 131072, 0x73ff_fffb, 0x5fd]
    request(worker, 26, values.flatMap { Self.bytes($0) } + [UInt8](repeating: 0, count: 44))
  }

  /// LOOKUP, awaited: the node, or the negated error.
  func lookup(_ worker: Worker, _ name: String, in node: UInt64) async -> Result<UInt64, CallError>
  {
    let answer = await request(worker, 1, node: node, Array(name.utf8) + [0]).answer.get()
    guard answer.error == 0 else { return .failure(CallError(code: -answer.error)) }
    return .success(answer.body.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
  }

  /// READDIRPLUS from the start.
  @discardableResult
  func list(_ worker: Worker, _ node: UInt64) -> (unique: UInt64, answer: Latch<Answer>) {
    let body = Self.bytes(UInt64(0)) + Self.bytes(UInt64(0)) + Self.bytes(UInt32(1 << 20))
    return request(worker, 44, node: node, body + [UInt8](repeating: 0, count: 20))
  }

  func interrupt(_ worker: Worker, _ unique: UInt64) {
    request(worker, 36, Self.bytes(unique))
  }

  /// Gives back all that it was told of.
  func forgetAll(_ worker: Worker) {
    let all = state.withLock { state in
      defer { state.lookups = [:] }
      return state.lookups
    }
    for (node, count) in all { request(worker, 2, node: node, Self.bytes(count)) }
  }

  /// The node of an answer to LOOKUP, if it has one.
  static func entryNode(_ body: UnsafeRawBufferPointer) -> [UInt64] {
    guard body.count >= 128 else { return [] }
    let node = body.loadUnaligned(as: UInt64.self)
    return node > 1 ? [node] : []
  }

  /// The nodes of an answer to READDIRPLUS.
  static func listedNodes(_ body: UnsafeRawBufferPointer) -> [UInt64] {
    var nodes: [UInt64] = []
    var position = 0
    while position + 152 <= body.count {
      let node = body.loadUnaligned(fromByteOffset: position, as: UInt64.self)
      if node > 1 { nodes.append(node) }
      let length = body.loadUnaligned(fromByteOffset: position + 144, as: UInt32.self)
      position += (152 + Int(length) + 7) & ~7
    }
    return nodes
  }

  static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value) { Array($0) }
  }
}
