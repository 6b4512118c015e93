internal import Castore
internal import NixCompat
internal import Platform

/// The bytes of a NAR, read and hashed ahead on a thread of their own, in large pieces.
///
/// For one taker. A NAR that fits into one piece needs no thread.
final class NARInput: Sendable {
  /// One piece, owned by whoever has it.
  // Sendable: filled before it enters the queue, only read after that.
  final class Piece: @unchecked Sendable {
    let memory: UnsafeMutableRawBufferPointer
    fileprivate(set) var count = 0

    init() {
      memory = .allocate(byteCount: NARInput.pieceSize, alignment: 4096)
    }

    deinit {
      memory.deallocate()
    }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }
  }

  static let pieceSize = 1 << 20
  private static let pieceCount = 4

  private struct State {
    var free: [Piece] = []
    var ready: [Piece] = []
    var byteCount: UInt64 = 0
    var end: (hashers: NARHashers, failure: (any Error)?)?
    var isStopped = false
  }

  private let state = Monitor(State())
  private let taken = Guarded<Piece?>(nil)

  init(_ source: some ByteSource & Sendable, hashers: NARHashers) {
    var feeder = Feeder(source: source, hashers: hashers)
    let first = Piece()
    if feeder.read(into: first) {
      let (hashers, failure) = (feeder.hashers, feeder.failure)
      state.withLock {
        $0.ready = [first]
        $0.byteCount = UInt64(first.count)
        $0.end = (hashers, failure)
      }
      return
    }
    state.withLock {
      $0.ready = [first]
      $0.byteCount = UInt64(first.count)
      $0.free = (1..<Self.pieceCount).map { _ in Piece() }
    }
    let box = SingleOwner(feeder)
    do throws(Errno) {
      let state = state
      _ = try NativeThread(name: "nar-read") { box.withValue { Self.feed(state, from: &$0) } }
    } catch {
      let failure = ServiceError(error, "cannot start a thread")
      state.withLock { $0.end = (hashers, failure) }
    }
  }

  private struct Feeder<Source: ByteSource> {
    var source: Source
    var hashers: NARHashers
    var failure: (any Error)?

    /// Fills a piece as far as it goes.
    ///
    /// - Returns: Whether that was all.
    mutating func read(into piece: Piece) -> Bool {
      piece.count = 0
      while piece.count < piece.memory.count {
        let rest = UnsafeMutableRawBufferPointer(rebasing: piece.memory[piece.count...])
        do {
          let count = try source.read(into: rest)
          precondition(0...rest.count ~= count, "a source fills no more than the buffer")
          if count == 0 {
            hashers.update(piece.bytes)
            return true
          }
          piece.count += count
        } catch {
          failure = error
          return true
        }
      }
      hashers.update(piece.bytes)
      return false
    }
  }

  private static func feed(_ state: Monitor<State>, from feeder: inout Feeder<some ByteSource>) {
    while true {
      let piece = state.withLock(waitingWhile: { $0.free.isEmpty && !$0.isStopped }) { state in
        state.isStopped ? nil : state.free.popLast()
      }
      guard let piece else { return }
      let isEnd = feeder.read(into: piece)
      let end = isEnd ? (feeder.hashers, feeder.failure) : nil
      state.withLock { state in
        if piece.count > 0 { state.ready.append(piece) }
        state.byteCount += UInt64(piece.count)
        state.end = end
      }
      state.notifyAll()
      if isEnd { return }
    }
  }

  /// The next piece; the one before goes back. `nil` at the end.
  func next() throws -> Piece? {
    if let done = taken.withLock({ $0.take() }) {
      state.withLock { $0.free.append(done) }
      state.notifyAll()
    }
    let (piece, failure) = state.withLock(
      waitingWhile: { $0.ready.isEmpty && $0.end == nil },
      { state -> (Piece?, (any Error)?) in
        if !state.ready.isEmpty { return (state.ready.removeFirst(), nil) }
        return (nil, state.end?.failure)
      }
    )
    if let failure { throw failure }
    taken.withLock { $0 = piece }
    return piece
  }

  /// The hashes, once `next` has said that there is nothing more.
  var hashers: NARHashers {
    guard let end = state.withLock({ $0.end }) else {
      preconditionFailure("finished before the end")
    }
    return end.hashers
  }

  /// How many bytes came so far.
  var byteCount: UInt64 { state.withLock { $0.byteCount } }

  /// Lets the reading thread end; it is not waited for, as its source may block.
  func stop() {
    state.withLock { $0.isStopped = true }
    state.notifyAll()
  }
}

/// A value that moves to another thread once.
// Sendable: the first thread gives the value up when it hands the box over.
private final class SingleOwner<Value>: @unchecked Sendable {
  private var value: Value

  init(_ value: Value) {
    self.value = value
  }

  func withValue(_ body: (inout Value) -> Void) {
    body(&value)
  }
}
