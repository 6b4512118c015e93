internal import Castore
internal import Glibc
internal import Platform

/// Has a NAR rendered ahead of whoever takes it, by a few buffers, on threads of their own.
///
/// Each thread plans a stretch, while the others wait, and then fills it beside them. A NAR that fits into
/// two stretches needs no thread.
final class NARPipeline {
  /// What comes next in the NAR.
  enum Output {
    case bytes(UnsafeRawBufferPointer)
    case file(NARFiller.BlobFile, size: UInt64)
  }

  private static let bufferCount = 6
  // More would wait for buffers.
  private static let maximumThreads = 4

  private var planner: NARPlanner
  private let filler: NARFiller

  init(_ planner: NARPlanner, _ filler: NARFiller) {
    self.planner = planner
    self.filler = filler
  }

  /// Hands all pieces to `body`, in order, on the calling thread.
  ///
  /// - Returns: How many bytes there were.
  func run(
    _ body: (Output) throws(ServiceError) -> Void
  ) throws(ServiceError) -> UInt64 {
    var total: UInt64 = 0
    guard let first = try planner.next() else { return 0 }
    guard let second = try planner.next() else {
      let buffer = Buffer(count: NARPlanner.bufferLength)
      try hand(filler.fill(buffer.memory, from: first), buffer, &total, body)
      return total
    }
    let queue = StretchQueue(planner, planned: [first, second], bufferCount: Self.bufferCount)
    defer { queue.cancel() }
    let cores = sysconf(Int32(_SC_NPROCESSORS_ONLN))
    for number in 0..<min(max(2, cores), Self.maximumThreads) {
      do throws(Errno) {
        let filler = filler
        _ = try NativeThread(name: "nar-render") { queue.work(filler) }
      } catch {
        // One is enough.
        if number == 0 { throw ServiceError(error, "cannot start a thread") }
      }
    }
    while let (piece, buffer) = try queue.take() {
      try hand(piece, buffer, &total, body)
      queue.giveBack(buffer)
    }
    return total
  }

  private func hand(
    _ piece: NARFiller.Piece,
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
    case .blob(let contents):
      total += contents.size
      var offset: UInt64 = 0
      while offset < contents.size {
        let count = Int(min(contents.size - offset, UInt64(NARPlanner.stretchLength)))
        try filler.read(contents, at: offset, count: count, into: buffer.memory)
        try body(.bytes(UnsafeRawBufferPointer(rebasing: buffer.memory[..<count])))
        offset += UInt64(count)
      }
    }
  }

  /// Memory that is handed back and forth between threads.
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

/// Stretches on their way from those who fill them to the one who takes them, in order.
private final class StretchQueue: Sendable {
  private typealias Filled = Result<(NARFiller.Piece, NARPipeline.Buffer), ServiceError>

  private struct State {
    /// Away while somebody plans with it, and gone at the end.
    var planner: NARPlanner?
    var planned: [NARStretch]
    var free: [NARPipeline.Buffer]
    var nextNumber = 0
    var filled: [Int: Filled] = [:]
    var taken = 0
    var isPlanned = false
    var isCancelled = false

    var isOver: Bool { isPlanned || isCancelled }
    var canPlan: Bool { planner != nil && !free.isEmpty }
  }

  private let state: Monitor<State>

  init(_ planner: NARPlanner, planned: [NARStretch], bufferCount: Int) {
    let buffers = (0..<bufferCount).map { _ in
      NARPipeline.Buffer(count: NARPlanner.bufferLength)
    }
    state = Monitor(State(planner: planner, planned: planned, free: buffers))
  }

  /// Plans and fills stretches until there are no more.
  func work(_ filler: NARFiller) {
    while let (number, stretch, buffer) = plan() {
      let result: Filled
      do throws(ServiceError) {
        result = .success((try filler.fill(buffer.memory, from: stretch), buffer))
      } catch {
        result = .failure(error)
      }
      state.withLock { $0.filled[number] = result }
      state.notifyAll()
    }
  }

  private func plan() -> (Int, NARStretch, NARPipeline.Buffer)? {
    typealias Turn = (planner: NARPlanner, planned: NARStretch?, buffer: NARPipeline.Buffer)
    let turn = state.withLock(
      waitingWhile: { !$0.isOver && !$0.canPlan },
      { state -> Turn? in
        guard !state.isOver, let buffer = state.free.popLast(),
          let planner = state.planner.take()
        else { return nil }
        return (planner, state.planned.isEmpty ? nil : state.planned.removeFirst(), buffer)
      }
    )
    guard case (var planner, let planned, let buffer)? = turn else { return nil }
    let next: Result<NARStretch?, ServiceError>
    do throws(ServiceError) {
      let stretch: NARStretch? = if let planned { planned } else { try planner.next() }
      next = .success(stretch)
    } catch {
      next = .failure(error)
    }
    let work = state.withLock { state -> (Int, NARStretch, NARPipeline.Buffer)? in
      switch next {
      case .success(let stretch?):
        state.planner = planner
        state.nextNumber += 1
        return (state.nextNumber - 1, stretch, buffer)
      case .success(nil): break
      case .failure(let error):
        state.filled[state.nextNumber] = .failure(error)
        state.nextNumber += 1
      }
      state.isPlanned = true
      return nil
    }
    state.notifyAll()
    return work
  }

  /// The next stretch; `nil` after the last.
  func take() throws(ServiceError) -> (NARFiller.Piece, NARPipeline.Buffer)? {
    let next = state.withLock(
      waitingWhile: { state in
        state.filled[state.taken] == nil && !(state.isPlanned && state.taken == state.nextNumber)
      },
      { state -> Filled? in
        let next = state.filled.removeValue(forKey: state.taken)
        state.taken += 1
        return next
      }
    )
    return try next?.get()
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
