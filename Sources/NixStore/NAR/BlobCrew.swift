internal import Castore
internal import Platform

/// Threads that store blobs side by side: hashing takes processors, and a store far away takes time.
///
/// For one caller, who works along. The threads start with the first batch that is worth it.
final class BlobCrew: Sendable {
  /// Blobs that are stored together.
  // Sendable: the bytes are only read, and the caller keeps them until the batch is done.
  private struct Batch: @unchecked Sendable {
    var jobs: [UnsafeRawBufferPointer]
    var results: [Result<B3Digest, ServiceError>?]
    var next = 0
    var done = 0
  }

  private struct State {
    var batch: Batch?
    var threads = 0
    var isEnded = false

    var hasWork: Bool {
      guard let batch else { return false }
      return batch.next < batch.jobs.count
    }
  }

  private let sink: any TreeSink
  private let threadLimit: Int
  private let state = Monitor(State())

  /// - Parameter workers: How many blobs are stored at once, the caller's included.
  init(_ sink: any TreeSink, workers: Int) {
    self.sink = sink
    threadLimit = max(1, workers) - 1
  }

  /// Stores blobs, whose bytes must stay where they are until all are done.
  ///
  /// - Returns: A digest or an error for each.
  func store(_ jobs: [UnsafeRawBufferPointer]) -> [Result<B3Digest, ServiceError>] {
    if jobs.count < 4 || threadLimit == 0 { return jobs.map { put($0) } }
    startThreads(for: jobs.count)
    state.withLock { state in
      state.batch = Batch(
        jobs: jobs,
        results: [Result<B3Digest, ServiceError>?](
          repeating: nil,
          count: jobs.count
        )
      )
    }
    state.notifyAll()
    while let (place, bytes) = state.withLock({ Self.take(&$0) }) { finish(place, put(bytes)) }
    let results = state.withLock(
      waitingWhile: { $0.batch.map { $0.done < $0.jobs.count } ?? false },
      { state in
        defer { state.batch = nil }
        return state.batch?.results ?? []
      }
    )
    return results.map { result in
      guard let result else {
        preconditionFailure("every job of a batch that is done has a result")
      }
      return result
    }
  }

  /// Lets the threads go.
  func end() {
    state.withLock { $0.isEnded = true }
    state.notifyAll()
  }

  private func put(_ bytes: UnsafeRawBufferPointer) -> Result<B3Digest, ServiceError> {
    do throws(ServiceError) {
      return .success(try sink.putBlob(bytes))
    } catch {
      return .failure(error)
    }
  }

  private func startThreads(for count: Int) {
    while state.withLock({ $0.threads < min(threadLimit, count - 1) }) {
      do throws(Errno) {
        _ = try NativeThread(name: "nar-blobs") { [self] in work() }
        state.withLock { $0.threads += 1 }
      } catch {
        // The caller does it alone.
        return
      }
    }
  }

  private func work() {
    while true {
      let job = state.withLock(waitingWhile: { !$0.hasWork && !$0.isEnded }) { Self.take(&$0) }
      guard let (place, bytes) = job else { return }
      finish(place, put(bytes))
    }
  }

  private static func take(_ state: inout State) -> (Int, UnsafeRawBufferPointer)? {
    guard state.hasWork, let next = state.batch?.next, let bytes = state.batch?.jobs[next] else {
      return nil
    }
    state.batch?.next += 1
    return (next, bytes)
  }

  private func finish(_ place: Int, _ result: Result<B3Digest, ServiceError>) {
    let isLast = state.withLock { state in
      state.batch?.results[place] = result
      state.batch?.done += 1
      return state.batch.map { $0.done == $0.jobs.count } ?? true
    }
    if isLast { state.notifyAll() }
  }
}
