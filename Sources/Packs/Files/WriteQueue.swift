internal import Platform
internal import SystemPackage

/// Writes buffers behind a writer's back, on a thread of its own, in order.
///
/// The thread is started with the first buffer that is full: small imports never have one.
final class WriteQueue: Sendable {
  /// One is filled while the other is written.
  private static let bufferCount = 2

  private enum Job {
    case write(NewFile, AlignedBuffer, count: Int, offset: Int)
    /// Anything else that is to come after what was written before; the buffer is free afterwards.
    case perform(AlignedBuffer?, @Sendable () throws(PackError) -> Void)

    var buffer: AlignedBuffer? {
      switch self {
      case .write(_, let buffer, _, _): buffer
      case .perform(let buffer, _): buffer
      }
    }
  }

  private struct State {
    var jobs: [Job] = []
    var isWorking = false
    var isOver = false
    var hasThread = false
    /// The first thing that went wrong: nothing is written any more.
    var failure: PackError?
    var free: [AlignedBuffer] = []
    var buffersMade = 0
  }

  private let bufferLength: Int
  private let state = Monitor(State())
  private let crew = ThreadCrew()

  init(bufferLength: Int) {
    self.bufferLength = bufferLength
  }

  /// A buffer that nobody uses; waits for one if all are in use.
  func takeBuffer() throws(PackError) -> AlignedBuffer {
    if let buffer = try takeFreeBuffer() { return buffer }
    // All buffers wait in jobs, or soon will: somebody has to write them.
    try ensureThread()
    return try state.withLock(
      waitingWhile: { $0.failure == nil && $0.free.isEmpty }
    ) { (state) throws(PackError) -> AlignedBuffer in
      guard state.failure == nil, let buffer = state.free.popLast() else {
        throw state.failure ?? .system(.canceled, "write a file")
      }
      return buffer
    }
  }

  private func takeFreeBuffer() throws(PackError) -> AlignedBuffer? {
    let (free, makesOne) = try state.withLock {
      (state) throws(PackError) -> (AlignedBuffer?, Bool) in
      if let failure = state.failure { throw failure }
      if let buffer = state.free.popLast() { return (buffer, false) }
      guard state.buffersMade < Self.bufferCount else { return (nil, false) }
      state.buffersMade += 1
      return (nil, true)
    }
    return makesOne ? AlignedBuffer(count: bufferLength) : free
  }

  /// Writes a buffer; it is free again afterwards.
  func write(
    _ file: NewFile,
    _ buffer: AlignedBuffer,
    count: Int,
    at offset: Int
  ) throws(PackError) {
    try enqueue(.write(file, buffer, count: count, offset: offset))
    try ensureThread()
  }

  /// Does something after all that was asked for before, on the thread or, where there is none yet, at `finish`.
  func perform(
    freeing buffer: AlignedBuffer?,
    _ body: @escaping @Sendable () throws(PackError) -> Void
  ) throws(PackError) {
    try enqueue(.perform(buffer, body))
  }

  /// Waits until all is done.
  func finish() throws(PackError) {
    if !state.withLock({ $0.hasThread }) { work(untilEmpty: true) }
    try state.withLock(
      waitingWhile: { $0.failure == nil && (!$0.jobs.isEmpty || $0.isWorking) }
    ) { (state) throws(PackError) in
      if let failure = state.failure { throw failure }
    }
  }

  /// Drops what is not done and waits for the thread's end.
  func abandon() {
    // Dropped outside of the lock: files are unlinked with it.
    let dropped = state.withLock { state in
      defer { state.jobs = [] }
      state.isOver = true
      state.free = []
      if state.failure == nil { state.failure = .system(.canceled, "write a file") }
      return state.jobs
    }
    state.notifyAll()
    withExtendedLifetime(dropped) {}
    crew.joinAll()
  }

  private func enqueue(_ job: Job) throws(PackError) {
    try state.withLock { (state) throws(PackError) in
      if let failure = state.failure { throw failure }
      state.jobs.append(job)
    }
    state.notifyAll()
  }

  private func ensureThread() throws(PackError) {
    let startsThread = state.withLock { state in
      defer { state.hasThread = true }
      return !state.hasThread
    }
    if !startsThread { return }
    do throws(Platform.Errno) {
      try crew.start(name: "pack-writer") { [self] in work(untilEmpty: false) }
    } catch {
      state.withLock { $0.hasThread = false }
      throw PackError.system(SystemPackage.Errno(rawValue: error.code), "start a thread")
    }
  }

  private func work(untilEmpty: Bool) {
    while true {
      let job = state.withLock(
        waitingWhile: { $0.jobs.isEmpty && !$0.isOver && !untilEmpty }
      ) { (state) -> Job? in
        guard !state.isOver, !state.jobs.isEmpty else { return nil }
        state.isWorking = true
        return state.jobs.removeFirst()
      }
      guard let job else { return }
      do throws(PackError) {
        switch job {
        case .write(let file, let buffer, let count, let offset):
          try file.write(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]), at: offset)
        case .perform(_, let body):
          try body()
        }
        state.withLock { state in
          if let buffer = job.buffer, !state.isOver { state.free.append(buffer) }
          state.isWorking = false
        }
      } catch {
        // Dropped outside of the lock: files are unlinked with it.
        let dropped = state.withLock { state in
          defer { state.jobs = [] }
          if state.failure == nil { state.failure = error }
          state.isWorking = false
          return state.jobs
        }
        withExtendedLifetime(dropped) {}
      }
      state.notifyAll()
    }
  }
}
