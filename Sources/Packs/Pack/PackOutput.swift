internal import Platform
internal import SystemPackage

/// What writes a writer's buffers and seals its packs, on a thread of its own.
///
/// The thread is started with the first buffer that is full: small imports never have one.
final class PackOutput: Sendable {
  /// Two buffers: one is filled while the other is written.
  private static let bufferCount = 2

  fileprivate enum Job {
    case write(NewFile, AlignedBuffer, count: Int, offset: Int)
    case seal(PackDraft, AlignedBuffer?, count: Int)
  }

  private struct State {
    var jobs: [Job] = []
    var isWorking = false
    var isOver = false
    var hasThread = false
    /// The first thing that went wrong: nothing is written any more.
    var failure: PackError?
    var sealed: [SealedPack] = []
    var free: [AlignedBuffer] = []
    var buffersMade = 0
  }

  private let session: PackSession
  private let state = Monitor(State())
  private let crew = ThreadCrew()

  init(_ session: PackSession) {
    self.session = session
  }

  /// A buffer with room for a table of contents after `bufferSize` bytes; waits for one if all are in use.
  func takeBuffer() throws(PackError) -> AlignedBuffer {
    if let buffer = try takeFreeBuffer() { return buffer }
    // All buffers wait in jobs, or soon will: somebody has to write them.
    try ensureThread()
    return try state.withLock(
      waitingWhile: { $0.failure == nil && $0.free.isEmpty }
    ) { (state) throws(PackError) -> AlignedBuffer in
      guard state.failure == nil, let buffer = state.free.popLast() else {
        throw state.failure ?? .system(.canceled, "write a pack")
      }
      return buffer
    }
  }

  /// A buffer that nobody uses, or a new one if there may be more.
  private func takeFreeBuffer() throws(PackError) -> AlignedBuffer? {
    let (free, makesOne) = try state.withLock {
      (state) throws(PackError) -> (AlignedBuffer?, Bool) in
      if let failure = state.failure { throw failure }
      if let buffer = state.free.popLast() { return (buffer, false) }
      guard state.buffersMade < Self.bufferCount else { return (nil, false) }
      state.buffersMade += 1
      return (nil, true)
    }
    if !makesOne { return free }
    return AlignedBuffer(
      count: session.options.bufferSize + PackLayout.recordsOffset + 2 * PackLayout.page
    )
  }

  /// Writes a buffer behind the caller's back; it is free again afterwards.
  func write(
    _ file: NewFile,
    _ buffer: AlignedBuffer,
    count: Int,
    at offset: Int
  ) throws(PackError) {
    try enqueue(.write(file, buffer, count: count, offset: offset))
    try ensureThread()
  }

  /// Seals a pack behind the caller's back, or at `finish` where nothing needed a thread before.
  func seal(_ draft: PackDraft, buffer: AlignedBuffer?, count: Int) throws(PackError) {
    try enqueue(.seal(draft, buffer, count: count))
  }

  /// Waits until all is done.
  func finish() throws(PackError) -> [SealedPack] {
    if !state.withLock({ $0.hasThread }) { work(untilEmpty: true) }
    return try state.withLock(
      waitingWhile: { $0.failure == nil && (!$0.jobs.isEmpty || $0.isWorking) }
    ) { (state) throws(PackError) -> [SealedPack] in
      if let failure = state.failure { throw failure }
      defer { state.sealed = [] }
      return state.sealed
    }
  }

  /// Drops what is not done and waits for the thread's end.
  func abandon() {
    // Dropped outside of the lock: files are unlinked with it.
    let dropped = state.withLock { state in
      defer { state.jobs = [] }
      state.isOver = true
      state.free = []
      if state.failure == nil { state.failure = .system(.canceled, "write a pack") }
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
        let sealed = try perform(job)
        state.withLock { state in
          if let sealed { state.sealed.append(sealed) }
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

  private func perform(_ job: Job) throws(PackError) -> SealedPack? {
    switch job {
    case .write(let file, let buffer, let count, let offset):
      try file.writeOrGoThroughCache(
        UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]),
        at: UInt64(offset)
      )
      if !session.writesDirectly { file.startWriteback(at: UInt64(offset), count: count) }
      return nil
    case .seal(let draft, let buffer, let count):
      return try draft.seal(session, buffer: buffer, count: count)
    }
  }
}

extension PackOutput.Job {
  fileprivate var buffer: AlignedBuffer? {
    switch self {
    case .write(_, let buffer, _, _): buffer
    case .seal(_, let buffer, _): buffer
    }
  }
}
