internal import BLAKE3
public import Castore
internal import Glibc
internal import Packs
internal import Platform
internal import Synchronization

/// The bulk way into a local store: gathers what is put into packs, and makes it durable pack by pack.
///
/// Any number of threads may put at once: they hash side by side, and copy what is new into the current pack
/// one after the other. Full packs are written and sealed by a thread of the writer's own, in order, while
/// the next is filled: who is faster than the disk waits. So whatever is in a sealed pack has all that it
/// refers to in that pack or in earlier ones. The first failure ends the writer: it surfaces from every later
/// call and from `flush`, and nothing more becomes visible. What was not flushed when the writer goes is
/// dropped, and its temporary files with it.
public final class StoreWriter: TreeSink {
  let core: StoreCore
  let session: Session
  private let state: Guarded<WriterState>
  private let hasFailed = Atomic<Bool>(false)
  let knownSizes: KnownSizes

  /// Blobs above this length are files of their own: the kernel can read them itself. Those up to it lie in
  /// packs, where a hundred thousand cost no more than some dozens of files.
  static let largestRecord = 1 << 20

  init(core: StoreCore, session: Session) throws(ServiceError) {
    self.core = core
    self.session = session
    knownSizes = KnownSizes(core.blobs)
    state = Guarded(WriterState(PackWriter(try session.packs(core))))
  }

  /// The longest blob that is put from memory: the workers of an import hold one each.
  public var inMemoryLimit: Int { Self.largestRecord }

  /// See `TreeSink`.
  public func putBlob(_ bytes: UnsafeRawBufferPointer) throws(ServiceError) -> B3Digest {
    try throwFailure()
    if bytes.count > Self.largestRecord {
      var rest = bytes
      return try putBlob { (buffer) throws(ServiceError) in
        let count = min(buffer.count, rest.count)
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        return count
      }.digest
    }
    let digest = B3Digest(hashing: bytes)
    try put(HeldObject(digest: digest, kind: .blob), .blob, bytes)
    return digest
  }

  /// See `TreeSink`.
  public func putDirectory(_ directory: Directory) throws(ServiceError) -> B3Digest {
    try throwFailure()
    let encoding = directory.encoded()
    let digest = B3Digest(hashing: encoding)
    try putDirectory(encoding: encoding, digest: digest)
    return digest
  }

  /// Stores a directory whose encoding is known to be canonical.
  func putDirectory(encoding: [UInt8], digest: B3Digest) throws(ServiceError) {
    try encoding.span.bytes.withUnsafeBytes { (bytes) throws(ServiceError) in
      try put(HeldObject(digest: digest, kind: .directory), .directory, bytes)
    }
  }

  /// See `TreeSink`.
  public func flush() throws(ServiceError) {
    try failing { () throws(ServiceError) in
      try state.withLock { (state) throws(ServiceError) in
        if let failure = state.failure { throw failure }
        try publishFiles(&state)
        try seal(&state)
      }
    }
    try core.index.refresh()
    IndexMaintenance(core: core).runIfWorthwhile(session)
  }

  /// Ends the writer: every call, also those under way in other threads, fails soon.
  public func abandon() {
    fail(ServiceError(.cancelled, "writing to \(core.path) was given up"))
  }

  // MARK: Parts

  /// Says whether an object need not be stored: it is in the store and whole, or will be before anything
  /// that is put from now on.
  func isKnown(_ object: HeldObject) throws(ServiceError) -> Bool {
    if state.withLock({ $0.pending.contains(object) }) { return true }
    guard let found = try core.relyOn(object, for: session) else { return false }
    return try core.isWhole(object, found)
  }

  func throwFailure() throws(ServiceError) {
    if !hasFailed.load(ordering: .relaxed) { return }
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

  /// Stores a record that is not there yet.
  private func put(
    _ object: HeldObject,
    _ kind: RecordKind,
    _ bytes: UnsafeRawBufferPointer
  ) throws(ServiceError) {
    if try isKnown(object) { return }
    try failing { () throws(ServiceError) in
      try state.withLock { (state) throws(ServiceError) in
        if let failure = state.failure { throw failure }
        if !state.pending.insert(object).inserted { return }
        try append(PackKey(object.digest), kind, bytes, &state)
      }
    }
  }

  /// Hands over a complete file of a large blob, with its outboard.
  func add(_ file: NewBlobFile, _ outboard: borrowing BLAKE3.Outboard) throws(ServiceError) {
    let digest = B3Digest(outboard.digest)
    let object = HeldObject(digest: digest, kind: .blob)
    // Before it has its name: see `StoreCore.awaitRemoval`.
    try session.hold([object])
    var record = withUnsafeBytes(of: outboard.size.littleEndian) { [UInt8]($0) }
    outboard.withUnsafeBytes { record += $0 }
    try failing { () throws(ServiceError) in
      try state.withLock { (state) throws(ServiceError) in
        if let failure = state.failure { throw failure }
        if !state.pending.insert(object).inserted { return }
        state.files.append(.init(digest: digest, file: file, record: record))
        state.fileBytes += file.size
        if state.files.count >= WriterState.fileLimit || state.fileBytes > WriterState.fileByteLimit
        {
          try publishFiles(&state)
        }
      }
    }
  }

  private func append(
    _ key: PackKey,
    _ kind: RecordKind,
    _ bytes: UnsafeRawBufferPointer,
    _ state: inout WriterState
  ) throws(ServiceError) {
    guard let packs = state.packs else { return }
    // The writer begins another pack when this one is full. A directory in it may refer to files that wait
    // for their records: these come first.
    if !packs.hasRoom(for: bytes.count, records: state.files.count + 1) {
      try publishFiles(&state)
    }
    do throws(PackError) {
      try packs.put(key, kind: kind, bytes)
    } catch {
      throw ServiceError(error, in: session.path)
    }
    // Bounds the memory of a long import: what is sealed is found in the store.
    if state.pending.count >= Self.pendingLimit { try seal(&state) }
  }

  /// Gives waiting files their names, durably, and puts their records.
  private func publishFiles(_ state: inout WriterState) throws(ServiceError) {
    if state.files.isEmpty { return }
    let files = state.files
    for file in files { try core.awaitRemoval(of: file.digest) }
    try core.blobs.publish(files.map { ($0.digest, $0.file) })
    state.files = []
    state.fileBytes = 0
    for file in files {
      try file.record.span.bytes.withUnsafeBytes { (bytes) throws(ServiceError) in
        try append(PackKey(file.digest), .largeBlob, bytes, &state)
      }
    }
  }

  /// Waits until all that was put is durable.
  private func seal(_ state: inout WriterState) throws(ServiceError) {
    guard let packs = state.packs else { return }
    let writer = try session.packs(core)
    do throws(PackError) {
      _ = try packs.finish()
      // What was found in packs of others is relied on, too, and their names may not be durable yet.
      try writer.syncPacks()
    } catch {
      throw ServiceError(error, in: session.path)
    }
    state.pending = []
  }

  private static let pendingLimit = 8 * PackLayout.maximumRecords

  private func fail(_ error: ServiceError) {
    state.withLock { $0.fail(error) }
    hasFailed.store(true, ordering: .relaxed)
  }
}
