public import Castore
internal import Glibc
internal import Platform
internal import Synchronization

/// The bulk way into a local store: gathers what is put and makes it durable in large batches.
///
/// Any number of threads may put at once; one thread of the writer's own commits. At most three
/// batches are in memory; who is faster than the disk waits. The first failure ends the writer: it
/// surfaces from every later call and from `flush`, and nothing more becomes visible. What was not
/// flushed when the writer goes is dropped, and its temporary files with it.
public final class StoreWriter: TreeSink {
  let core: StoreCore
  let folder: TemporaryFolder
  let state = Monitor(WriterState())
  private let crew = ThreadCrew()
  private let lookups = Atomic<Int>(0)
  /// Each lookup may map 64 KiB of the index.
  private static let lookupsBetweenReleases = 256

  init(core: StoreCore) throws(ServiceError) {
    self.core = core
    folder = try core.makeTemporaryFolder()
    let committer = BatchCommitter(core: core, folder: folder)
    let state = state
    do throws(Errno) {
      try crew.start(name: "store-commit") { Self.commitBatches(of: state, with: committer) }
    } catch {
      throw ServiceError.system(error, "start a thread for writing to \(core.path)")
    }
  }

  deinit {
    state.withLock { $0.isClosing = true }
    state.notifyAll()
    // A commit under way uses the temporary folder; joined, it also holds nothing of the store any more.
    crew.joinAll()
  }

  /// The longest blob that is put from memory: the workers of an import, one for each core, hold one
  /// each, and together they take 32 MiB, or one each.
  public var inMemoryLimit: Int { Self.inMemoryLimit }

  private static let inMemoryLimit: Int = {
    let cores = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    return min(8 << 20, max(1 << 20, (32 << 20) / cores))
  }()

  /// See `TreeSink`.
  public func putBlob(_ bytes: UnsafeRawBufferPointer) throws(ServiceError) -> B3Digest {
    try throwFailure()
    let digest = B3Digest(hashing: bytes)
    if try isKnownBlob(digest, size: UInt64(bytes.count)) { return digest }
    if bytes.count <= BlobRecord.inlineLimit {
      try put(.blobs, digest, count: bytes.count + 1) { place in
        place[0] = BlobRecord.inlineTag
        UnsafeMutableRawBufferPointer(rebasing: place[1...]).copyMemory(from: bytes)
      }
    } else {
      let file = try failing { () throws(ServiceError) in try NewBlobFile(in: folder) }
      try failing { () throws(ServiceError) in try file.append(bytes) }
      try add(file, digest)
    }
    return digest
  }

  /// See `TreeSink`.
  public func putDirectory(_ directory: Directory) throws(ServiceError) -> B3Digest {
    try throwFailure()
    let encoding = directory.encoded()
    let digest = B3Digest(hashing: encoding)
    if try isKnown(.directories, digest) { return digest }
    try put(.directories, digest, count: encoding.count) { place in
      place.copyBytes(from: encoding)
    }
    return digest
  }

  /// See `TreeSink`.
  public func flush() throws(ServiceError) {
    let last = try state.withLock { (state) throws(ServiceError) in
      if let failure = state.failure { throw failure }
      state.seal()
      return state.sealedCount
    }
    state.notifyAll()
    try state.withLock(
      waitingWhile: { $0.failure == nil && $0.committedCount < last },
      { (state) throws(ServiceError) in
        if let failure = state.failure { throw failure }
      }
    )
  }

  /// Ends the writer: every call, also those under way in other threads, fails soon.
  public func abandon() {
    fail(ServiceError(.cancelled, "writing to \(core.path) was given up"))
  }

  // MARK: Parts

  /// Says whether something is in the store, or will be before anything that is put from now on.
  func isKnown(_ table: IndexTable, _ digest: B3Digest) throws(ServiceError) -> Bool {
    let count = lookups.wrappingAdd(1, ordering: .relaxed).newValue
    if count % Self.lookupsBetweenReleases == 0 { core.index.releasePages() }
    if try core.contains(table, digest) { return true }
    return state.withLock { $0.isPending(table, digest) }
  }

  /// Says whether a blob is in the store, or will be before anything that is put from now on.
  ///
  /// A blob whose file is missing or has another length is not: it is stored again.
  func isKnownBlob(_ digest: B3Digest, size: UInt64) throws(ServiceError) -> Bool {
    guard try isKnown(.blobs, digest) else { return false }
    if size <= UInt64(BlobRecord.inlineLimit) || core.hasBlobFile(digest, size: size) {
      return true
    }
    return state.withLock { $0.isPending(.blobs, digest) }
  }

  func throwFailure() throws(ServiceError) {
    if let failure = state.withLock({ $0.failure }) { throw failure }
  }

  /// Runs a step whose failure ends the writer.
  func failing<Value: ~Copyable>(
    _ body: () throws(ServiceError) -> Value
  ) throws(ServiceError) -> Value {
    do throws(ServiceError) {
      return try body()
    } catch {
      fail(error)
      throw error
    }
  }

  /// Hands over a complete file.
  func add(_ file: NewBlobFile, _ digest: B3Digest) throws(ServiceError) {
    file.startWriteback()
    let entry = WriteBatch.File(digest: digest, size: file.size, name: file.name)
    let isAccepted = try state.withLock(
      waitingWhile: { $0.mustWaitForFile },
      { (state) throws(ServiceError) in try state.add(entry) }
    )
    if isAccepted { file.keep() }
    state.notifyAll()
  }

  private func put(
    _ table: IndexTable,
    _ digest: B3Digest,
    count: Int,
    fill: (UnsafeMutableRawBufferPointer) -> Void
  ) throws(ServiceError) {
    // LMDB keeps lengths in 32 bits.
    guard count < Int(UInt32.max) else {
      throw ServiceError(.invalidArgument, "a directory of \(count) bytes is too large to store")
    }
    let place = try state.withLock(
      waitingWhile: { $0.mustWait(forBytes: count) },
      { (state) throws(ServiceError) in try state.reserve(table, digest, count: count) }
    )
    guard let (batch, range) = place else { return }
    // Copied outside the lock: the range is ours, and the batch is not committed before `outstanding`
    // is back at zero.
    fill(batch.bytes(range))
    state.withLock { _ in batch.outstanding -= 1 }
    state.notifyAll()
  }

  private func fail(_ error: ServiceError) {
    state.withLock { $0.fail(error) }
    state.notifyAll()
  }

  private static func commitBatches(
    of state: Monitor<WriterState>,
    with committer: BatchCommitter
  ) {
    while true {
      let next = state.withLock(waitingWhile: { $0.isIdle }) { $0.startCommit() }
      guard let batch = next else { break }
      do throws(ServiceError) {
        try committer.commit(batch)
        state.withLock { $0.finishCommit(batch) }
      } catch {
        state.withLock { $0.fail(error) }
      }
      state.notifyAll()
    }
  }
}
