internal import Castore
internal import Platform

/// A file to be stored.
struct ImportJob: Sendable {
  var folder: ImportedFolder
  var handle: FolderHandle
  var name: PathComponent
}

/// What the walk found and the workers have not taken yet: bounded, so that neither memory nor open
/// folders pile up.
final class ImportQueue: Sendable {
  /// Each job may hold a folder of its own open; a process has 1,024 files at least.
  private static let capacity = 256

  private struct State {
    var jobs: [ImportJob] = []
    var next = 0
    var isFull = false
    var isEnded = false
    var failure: ServiceError?

    var count: Int { jobs.count - next }
  }

  private let state = Monitor(State())

  /// Adds a job; waits while the queue is full.
  func push(_ job: ImportJob) throws(ServiceError) {
    let wakes = try state.withLock(
      waitingWhile: { $0.isFull && $0.failure == nil },
      { (state) throws(ServiceError) -> Bool in
        if let failure = state.failure { throw failure }
        state.jobs.append(job)
        if state.count >= Self.capacity { state.isFull = true }
        return state.count == 1 || state.count % 16 == 0
      }
    )
    if wakes { state.notifyAll() }
  }

  /// Takes a job; waits for one. `nil` when no more will come.
  func pop() -> ImportJob? {
    let (job, wakes) = state.withLock(
      waitingWhile: { $0.count == 0 && !$0.isEnded && $0.failure == nil },
      { state -> (ImportJob?, Bool) in
        if state.failure != nil || state.count == 0 { return (nil, false) }
        let job = state.jobs[state.next]
        state.next += 1
        if state.next >= Self.capacity {
          state.jobs.removeFirst(state.next)
          state.next = 0
        }
        // The walk goes on when half is done, not for each job.
        let wakes = state.isFull && state.count <= Self.capacity / 2
        if wakes { state.isFull = false }
        return (job, wakes)
      }
    )
    if wakes { state.notifyAll() }
    return job
  }

  /// No more jobs will come.
  func end() {
    state.withLock { $0.isEnded = true }
    state.notifyAll()
  }

  /// Stops everything; the first failure counts.
  func fail(_ error: ServiceError) {
    state.withLock { if $0.failure == nil { $0.failure = error } }
    state.notifyAll()
  }

  func throwFailure() throws(ServiceError) {
    if let failure = state.withLock({ $0.failure }) { throw failure }
  }

  /// Takes out what nobody will take any more.
  func removeAll() -> ArraySlice<ImportJob> {
    state.withLock { state in
      let rest = state.jobs[state.next...]
      state.jobs = []
      state.next = 0
      return rest
    }
  }
}
