import Castore
import Platform

/// A long blob on its way from afar to the near service: fetched once, by parts, whoever reads what of it.
///
/// What readers wait for comes first, then what lies behind it, then the rest. Parts are kept in a temporary
/// file, from which readers take what is there, and go to the near service in order. While nobody reads, no
/// more is begun.
final class BlobFilling: Sendable {
  private struct State {
    var plan: FillingPlan
    var readers = 0
    var waiters: [Int: Promise<Void>] = [:]
    // What was not waited for could not be fetched: nothing is fetched unasked before the next read.
    var isHalted = false
    // Parts that the near service has.
    var kept = 0
    var isKeeping = false
    var writer: (any BlobWriter)?
    var settling: Promise<Void>?
    // Whether the near service takes any more of it.
    var isKept = true
    var nearReader: (any BlobReader)?
    // The bytes are those of another blob.
    var corruption: ServiceError?
  }

  // How many parts are fetched at a time.
  private static let parallelism = 4
  private static let orderedPartSize: UInt64 = 1 << 20

  let digest: B3Digest
  let size: UInt64
  private let far: any BlobReader
  private let near: any BlobService
  private let queue: KeepQueue
  private let spool: SpoolFile
  private let isOrdered: Bool
  private let state: Guarded<State>
  // Called when nobody reads any more, and when it is done.
  private let onIdle: @Sendable (BlobFilling) -> Void

  /// Fetches nothing yet.
  init(
    _ digest: B3Digest,
    far: any BlobReader,
    near: any BlobService,
    queue: KeepQueue,
    folder: String?,
    onIdle: @escaping @Sendable (BlobFilling) -> Void
  ) throws(ServiceError) {
    self.digest = digest
    size = far.size
    self.far = far
    self.near = near
    self.queue = queue
    self.onIdle = onIdle
    spool = try SpoolFile(in: folder)
    isOrdered = far.part(around: 0) == nil
    var starts: [UInt64] = []
    var offset: UInt64 = 0
    while offset < far.size {
      starts.append(offset)
      let end = far.part(around: offset)?.upperBound ?? offset + Self.orderedPartSize
      offset = max(end, offset + 1)
    }
    state = Guarded(
      State(plan: FillingPlan(starts: starts, size: far.size, isOrdered: isOrdered))
    )
  }

  /// How many bytes of memory it may hold: what the far reader does, the parts under way, and where they are.
  var memoryBound: Int {
    let parts = state.withLock { $0.plan.count }
    return far.memoryBound + Self.parallelism * Int(Self.orderedPartSize) + parts * 9
  }

  /// Whether all of it is near.
  var isDone: Bool { state.withLock { $0.nearReader != nil || $0.corruption != nil } }

  /// Whether somebody reads.
  var isRead: Bool { state.withLock { $0.readers > 0 } }

  /// Opens it once more.
  func reader() -> any BlobReader {
    state.withLock { $0.readers += 1 }
    return FillingBlobReader(self)
  }

  fileprivate func leave() {
    let isLast = state.withLock { state in
      state.readers -= 1
      return state.readers == 0
    }
    if isLast { onIdle(self) }
  }

  fileprivate func read(at offset: UInt64, count: Int) async throws(ServiceError) -> [UInt8] {
    guard offset < size, count > 0 else { return [] }
    if let near = try nearReader() {
      do throws(ServiceError) { return try await near.read(at: offset, count: count) } catch {}
    }
    let count = Int(min(UInt64(count), size - offset))
    let parts = state.withLock { state in
      state.plan.part(at: offset)...state.plan.part(at: offset + UInt64(count) - 1)
    }
    for part in parts {
      guard let arrival = wait(for: part, andUpTo: parts.upperBound) else { continue }
      fetchMore()
      do { try await arrival.value() } catch {
        if let error = error as? ServiceError { throw error }
        throw ServiceError(.cancelled, "reading blob \(digest) was cancelled", cause: error)
      }
    }
    return try await spool.read(at: offset, count: count)
  }

  private func nearReader() throws(ServiceError) -> (any BlobReader)? {
    let (reader, corruption) = state.withLock { ($0.nearReader, $0.corruption) }
    if let corruption { throw corruption }
    return reader
  }

  // What to wait for; nothing where the part is here. The parts behind it are fetched at the same time.
  private func wait(for part: Int, andUpTo last: Int) -> Promise<Void>? {
    state.withLock { state in
      if state.plan.isHere(part) { return nil }
      state.isHalted = false
      for part in part...min(last, part + Self.parallelism) { state.plan.want(part) }
      let arrival = state.waiters[part] ?? Promise()
      state.waiters[part] = arrival
      return arrival
    }
  }

  private func fetchMore() {
    let parts = state.withLock { state in
      var parts: [(number: Int, range: Range<UInt64>)] = []
      while state.plan.comingCount < (isOrdered ? 1 : Self.parallelism),
        let part = state.plan.next(fills: state.readers > 0 && !state.isHalted)
      {
        parts.append((part, state.plan.range(of: part)))
      }
      return parts
    }
    for (number, range) in parts {
      // Not a child of any reading task: it comes for all of them, and for later ones.
      Task.detached { await self.fetch(number, range) }
    }
  }

  private func fetch(_ part: Int, _ range: Range<UInt64>) async {
    let result: Result<Void, any Error>
    do throws(ServiceError) {
      let bytes = try await far.read(part: range)
      guard UInt64(bytes.count) == range.upperBound - range.lowerBound else {
        throw ServiceError(.corrupt, "blob \(digest) ends before its \(size) bytes")
      }
      try await spool.write(bytes, at: range.lowerBound)
      result = .success(())
    } catch {
      result = .failure(error)
    }
    let waiters: Promise<Void>? = state.withLock { state in
      var isHere = false
      if case .success = result { isHere = true }
      state.plan.arrived(part, isHere: isHere)
      if !isHere { state.isHalted = true }
      return state.waiters.removeValue(forKey: part)
    }
    waiters?.resolve(result)
    if case .failure = result { settled() }
    // Waiters of other parts are served also after a failure.
    fetchMore()
    await keep()
  }

  // MARK: Keeping

  // Gives the near service what is there in order; one task at a time.
  private func keep() async {
    let isFirst = state.withLock { state in
      guard state.isKept, !state.isKeeping, state.kept < state.plan.prefix else { return false }
      state.isKeeping = true
      return true
    }
    if isFirst { await queue.run { [self] in await keepPrefix() } }
  }

  private func keepPrefix() async {
    do throws(ServiceError) {
      while let (range, begun) = nextToKeep() {
        let writer: any BlobWriter
        if let begun { writer = begun } else { writer = try await near.openWrite() }
        state.withLock { $0.writer = writer }
        let count = Int(range.upperBound - range.lowerBound)
        try await writer.write(try await spool.read(at: range.lowerBound, count: count))
        state.withLock { $0.kept += 1 }
      }
      guard let writer = state.withLock({ $0.kept == $0.plan.count ? $0.writer.take() : nil })
      else { return }
      let stored = try await writer.close()
      if stored == digest {
        let reader = try await near.openRead(digest)
        state.withLock { $0.nearReader = reader }
      } else {
        let error = ServiceError(.corrupt, "asked for blob \(digest), got the bytes of \(stored)")
        state.withLock { $0.corruption = error }
      }
    } catch {
      // The near service does not take it: what was fetched serves as long as somebody reads.
      let writer = state.withLock { state in
        state.isKept = false
        return state.writer.take()
      }
      await writer?.abandon()
    }
    settled()
    onIdle(self)
  }

  // The next part to keep, and the writer if there is one; nothing where it is not here yet.
  private func nextToKeep() -> (Range<UInt64>, (any BlobWriter)?)? {
    state.withLock { state in
      if state.kept < state.plan.prefix {
        return (state.plan.range(of: state.kept), state.writer)
      }
      // Whoever fetches the last part finds that nobody keeps, or the end is at hand.
      state.isKeeping = state.kept == state.plan.count
      return nil
    }
  }

  /// Waits until it is near, where all of it is here or on its way.
  func settle() async {
    let settling = state.withLock { state -> Promise<Void>? in
      guard state.isKept, state.nearReader == nil, state.corruption == nil,
        !state.plan.isPartMissing
      else { return nil }
      let settling = state.settling ?? Promise()
      state.settling = settling
      return settling
    }
    _ = try? await settling?.value()
  }

  private func settled() {
    state.withLock { $0.settling.take() }?.resolve(.success(()))
  }
}

/// One who reads a blob that is on its way.
private final class FillingBlobReader: BlobReader {
  private let filling: BlobFilling

  init(_ filling: BlobFilling) {
    self.filling = filling
  }

  deinit {
    filling.leave()
  }

  var size: UInt64 { filling.size }

  var memoryBound: Int { filling.memoryBound }

  func read(at offset: UInt64, count: Int) async throws(ServiceError) -> [UInt8] {
    try await filling.read(at: offset, count: count)
  }
}
