internal import Castore

/// What the threads that feed a `StoreWriter` and its committer share, behind one lock.
struct WriterState {
  /// How many sealed batches may wait or be committed while another fills: bounds the memory.
  static let batchesInFlight = 2

  /// The batch that is being filled.
  private(set) var current: WriteBatch?
  /// Sealed, in the order in which they must become durable.
  private(set) var sealed: [WriteBatch] = []
  private(set) var isCommitting = false
  private var spare: [WriteBatch] = []

  private var pendingBlobs: Set<B3Digest> = []
  private var pendingDirectories: Set<B3Digest> = []
  /// Lengths of files that are not committed, and how many have each.
  private var pendingSizes: [UInt64: Int] = [:]

  /// How many batches were sealed and committed since the start.
  private(set) var sealedCount = 0
  private(set) var committedCount = 0

  /// The first thing that went wrong. Nothing is accepted or committed after it.
  private(set) var failure: ServiceError?
  var isClosing = false
  var hasCommitterEnded = false

  // MARK: For those who feed

  func isPending(_ table: IndexTable, _ digest: B3Digest) -> Bool {
    table == .blobs ? pendingBlobs.contains(digest) : pendingDirectories.contains(digest)
  }

  func isPending(size: UInt64) -> Bool {
    pendingSizes[size] != nil
  }

  /// Whether an item has to wait until a batch is committed.
  func mustWait(forBytes count: Int) -> Bool {
    guard failure == nil, let current, !current.hasRoom(for: count) else { return false }
    return sealed.count + (isCommitting ? 1 : 0) >= Self.batchesInFlight
  }

  var mustWaitForFile: Bool {
    guard failure == nil, let current, !current.hasRoomForFile else { return false }
    return sealed.count + (isCommitting ? 1 : 0) >= Self.batchesInFlight
  }

  /// Takes room for an item in the current batch.
  ///
  /// - Returns: `nil` where the item is pending already.
  mutating func reserve(
    _ table: IndexTable,
    _ digest: B3Digest,
    count: Int
  ) throws(ServiceError) -> (batch: WriteBatch, range: Range<Int>)? {
    if let failure { throw failure }
    if isPending(table, digest) { return nil }
    if let current, !current.hasRoom(for: count) { seal() }
    let batch = openBatch(capacity: count)
    if table == .blobs { pendingBlobs.insert(digest) } else { pendingDirectories.insert(digest) }
    return (batch, batch.reserve(table, digest, count: count))
  }

  /// Adds a file that lies complete in the temporary folder.
  ///
  /// - Returns: Whether the blob was not pending already.
  mutating func add(_ file: WriteBatch.File) throws(ServiceError) -> Bool {
    if let failure { throw failure }
    if isPending(.blobs, file.digest) { return false }
    if let current, !current.hasRoomForFile { seal() }
    openBatch(capacity: 0).add(file)
    pendingBlobs.insert(file.digest)
    pendingSizes[file.size, default: 0] += 1
    return true
  }

  /// Ends the current batch, if there is anything in it.
  mutating func seal() {
    guard let batch = current, !batch.isEmpty else { return }
    sealed.append(batch)
    sealedCount += 1
    current = nil
  }

  mutating func fail(_ error: ServiceError) {
    if failure == nil { failure = error }
  }

  private mutating func openBatch(capacity: Int) -> WriteBatch {
    if let current { return current }
    let batch: WriteBatch
    if capacity <= WriteBatch.capacity, let reused = spare.popLast() {
      batch = reused
    } else {
      batch = WriteBatch(capacity: capacity)
    }
    current = batch
    return batch
  }

  // MARK: For the committer

  /// Whether there is nothing to do yet.
  var isIdle: Bool {
    if isClosing || failure != nil { return false }
    guard let next = sealed.first else { return true }
    return next.outstanding > 0
  }

  /// The batch to commit next; `nil` where the committer is to end.
  mutating func startCommit() -> WriteBatch? {
    if isClosing || failure != nil || sealed.isEmpty { return nil }
    isCommitting = true
    return sealed.removeFirst()
  }

  /// Notes that a batch is durable.
  mutating func finishCommit(_ batch: WriteBatch) {
    isCommitting = false
    committedCount += 1
    for item in batch.items {
      if item.table == .blobs {
        pendingBlobs.remove(item.digest)
      } else {
        pendingDirectories.remove(item.digest)
      }
    }
    for file in batch.files {
      pendingBlobs.remove(file.digest)
      let left = (pendingSizes[file.size] ?? 1) - 1
      pendingSizes[file.size] = left == 0 ? nil : left
    }
    batch.removeAll()
    if batch.isOfUsualSize { spare.append(batch) }
  }
}
