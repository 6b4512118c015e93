internal import Castore
internal import Platform

/// Lets a producer run ahead of whoever takes its pieces, on a thread of its own, by a few buffers.
///
/// A NAR that fits into one buffer needs no thread.
final class NARPipeline {
  /// What comes next in the NAR.
  enum Output {
    case bytes(UnsafeRawBufferPointer)
    case file(NARProducer.BlobFile, size: UInt64)
  }

  private static let bufferSize = 512 << 10
  private static let bufferCount = 4

  private var producer: NARProducer

  init(_ producer: NARProducer) {
    self.producer = producer
  }

  /// Hands all pieces to `body`, in order, on the calling thread.
  ///
  /// - Returns: How many bytes there were.
  func run(
    _ body: (Output) throws(ServiceError) -> Void
  ) throws(ServiceError) -> UInt64 {
    var total: UInt64 = 0
    let first = Buffer(count: Self.bufferSize)
    let piece = try producer.next(into: first.memory)
    if case .end = piece { return 0 }
    try hand(piece, first, &total, body)
    guard case .bytes(let count) = piece, count <= Self.bufferSize / 4 else {
      return try runAhead(&total, body)
    }
    // Most likely the end: see without a thread.
    let second = try producer.next(into: first.memory)
    if case .end = second { return total }
    try hand(second, first, &total, body)
    return try runAhead(&total, body)
  }

  private func runAhead(
    _ total: inout UInt64,
    _ body: (Output) throws(ServiceError) -> Void
  ) throws(ServiceError) -> UInt64 {
    let queue = PieceQueue(bufferCount: Self.bufferCount, bufferSize: Self.bufferSize)
    let box = SingleOwner(producer)
    do throws(Errno) {
      _ = try NativeThread(name: "nar-render") { box.withValue { queue.fill(from: &$0) } }
    } catch {
      throw ServiceError(error, "cannot start a thread")
    }
    defer { queue.cancel() }
    while let (piece, buffer) = try queue.take() {
      try hand(piece, buffer, &total, body)
      queue.giveBack(buffer)
    }
    return total
  }

  private func hand(
    _ piece: NARProducer.Piece,
    _ buffer: Buffer,
    _ total: inout UInt64,
    _ body: (Output) throws(ServiceError) -> Void
  ) throws(ServiceError) {
    switch piece {
    case .bytes(let count):
      total += UInt64(count)
      try body(.bytes(UnsafeRawBufferPointer(rebasing: buffer.memory[..<count])))
    case .file(let file, let size):
      total += size
      try body(.file(file, size: size))
    case .end: break
    }
  }

  /// Memory that is handed back and forth between two threads.
  // Sendable: whoever took it from the queue, and nobody else, uses it until it is back in the queue.
  final class Buffer: @unchecked Sendable {
    let memory: UnsafeMutableRawBufferPointer

    init(count: Int) {
      memory = .allocate(byteCount: count, alignment: 4096)
    }

    deinit {
      memory.deallocate()
    }
  }
}

/// A value that moves to another thread once.
// Sendable: the first thread gives the value up when it hands the box over.
final class SingleOwner<Value>: @unchecked Sendable {
  private var value: Value

  init(_ value: Value) {
    self.value = value
  }

  func withValue(_ body: (inout Value) -> Void) {
    body(&value)
  }
}

/// Pieces that were produced and not taken yet, with the buffers they lie in.
private final class PieceQueue: Sendable {
  private struct State {
    var free: [NARPipeline.Buffer]
    var ready: [(NARProducer.Piece, NARPipeline.Buffer)] = []
    var end: Result<Void, ServiceError>?
    var isCancelled = false
  }

  private let state: Monitor<State>

  init(bufferCount: Int, bufferSize: Int) {
    let buffers = (0..<bufferCount).map { _ in NARPipeline.Buffer(count: bufferSize) }
    state = Monitor(State(free: buffers))
  }

  func fill(from producer: inout NARProducer) {
    while true {
      let buffer = state.withLock(waitingWhile: { $0.free.isEmpty && !$0.isCancelled }) { state in
        state.isCancelled ? nil : state.free.popLast()
      }
      guard let buffer else { return }
      do throws(ServiceError) {
        let piece = try producer.next(into: buffer.memory)
        if case .end = piece { return finish(.success(())) }
        state.withLock { $0.ready.append((piece, buffer)) }
        state.notifyAll()
      } catch {
        return finish(.failure(error))
      }
    }
  }

  private func finish(_ result: Result<Void, ServiceError>) {
    state.withLock { $0.end = result }
    state.notifyAll()
  }

  func take() throws(ServiceError) -> (NARProducer.Piece, NARPipeline.Buffer)? {
    try state.withLock(
      waitingWhile: { $0.ready.isEmpty && $0.end == nil },
      { (state) throws(ServiceError) in
        if !state.ready.isEmpty { return state.ready.removeFirst() }
        try state.end?.get()
        return nil
      }
    )
  }

  func giveBack(_ buffer: NARPipeline.Buffer) {
    state.withLock { $0.free.append(buffer) }
    state.notifyAll()
  }

  func cancel() {
    state.withLock { $0.isCancelled = true }
    state.notifyAll()
  }
}
