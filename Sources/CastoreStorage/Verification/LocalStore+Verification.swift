public import Castore
internal import CastoreNames
internal import Packs

extension LocalStore {
  /// Looks through the whole store.
  ///
  /// Each pack: are its tables whole and twice there. Each blob and directory: is it what its digest says, and
  /// has a large one its file. Each name, store path and pin: is everything below it there, and as long as the
  /// directories say. Names: is none lost or changed. What is damaged is noted: writers store it again, readers
  /// take another copy. Blocks.
  ///
  /// - Parameters:
  ///   - rehash: Whether to read and hash all contents; otherwise tables and lengths only.
  ///   - progress: Told how many more bytes were hashed.
  ///   - report: Called with every problem.
  /// - Throws: Only what keeps the search from going on; problems are reported.
  /// - Complexity: O(bytes); some bits of memory for each object.
  public func verify(
    rehash: Bool = false,
    progress: (Int) -> Void = { _ in },
    report: (ServiceError) -> Void
  ) throws(ServiceError) -> StoreVerification {
    // Not what this process has found whole before: what the disk holds now.
    let fresh = try StoreCore(path: path, create: nil, verifiesReads: true)
    var verifier = StoreVerifier(core: fresh)
    try verifier.verifyPacks(rehash: rehash, progress: progress, report: report)
    try verifier.verifyNames(report: report)
    return verifier.result
  }
}

/// One search.
struct StoreVerifier {
  let core: StoreCore
  private(set) var result = StoreVerification()

  init(core: StoreCore) {
    self.core = core
  }

  // MARK: Packs

  mutating func verifyPacks(
    rehash: Bool,
    progress: (Int) -> Void,
    report: (ServiceError) -> Void
  ) throws(ServiceError) {
    let snapshot = try core.index.refresh()
    for id in snapshot.packs.sorted(by: { ($0.session, $0.number) < ($1.session, $1.number) }) {
      result.packs += 1
      do throws(ServiceError) {
        // Collected meanwhile: what stays of it is in a pack that comes later, or was there before.
        guard let pack = try core.index.packs.pack(id) else { continue }
        for finding in pack.reader.findDamage() {
          note(ServiceError(.corrupt, "\(core.index.packs.path(of: id)): \(finding)"), report)
        }
        try verifyRecords(of: pack, rehash: rehash, progress: progress, report: report)
      } catch {
        note(error, report)
      }
      core.index.packs.forget(id)
    }
  }

  private mutating func verifyRecords(
    of pack: OpenPack,
    rehash: Bool,
    progress: (Int) -> Void,
    report: (ServiceError) -> Void
  ) throws(ServiceError) {
    // In the order of their places: the disk reads on.
    var entries: [PackEntry] = []
    do throws(PackError) {
      try pack.reader.forEach { (entry) throws(PackError) in
        entries.append(entry)
        return true
      }
    } catch {
      throw ServiceError(error, in: core.index.packs.path(of: pack.id))
    }
    entries.sort { $0.at.place < $1.at.place }
    for entry in entries {
      let object = HeldObject(digest: B3Digest(entry.key), kind: ObjectKind(entry.at.kind))
      do throws(ServiceError) {
        try verify(object, entry, pack, rehash: rehash, progress: progress)
      } catch {
        if error.code == .corrupt {
          core.damage.note(object, FoundObject(pack: pack.id, place: entry.at))
        }
        note(error, report)
      }
    }
  }

  private mutating func verify(
    _ object: HeldObject,
    _ entry: PackEntry,
    _ pack: OpenPack,
    rehash: Bool,
    progress: (Int) -> Void
  ) throws(ServiceError) {
    switch entry.at.kind {
    case .directory:
      result.directories += 1
      if !rehash { return }
      try core.readWhole(object.digest, .directory, pack, entry.at) {
        (bytes) throws(ServiceError) in
        do throws(DirectoryError) {
          _ = try DirectoryIndex(canonicalEncoding: bytes)
        } catch {
          throw ServiceError.corruptDirectory(object.digest, error)
        }
      }
      progress(Int(entry.at.length))
    case .blob:
      result.blobs += 1
      result.blobBytes &+= UInt64(entry.at.length)
      if !rehash { return }
      try core.readWhole(object.digest, .blob, pack, entry.at) { _ in }
      progress(Int(entry.at.length))
    case .largeBlob, .chunkedBlob:
      result.blobs += 1
      let blob = try core.openLargeBlob(object.digest, pack, entry.at)
      result.blobBytes &+= blob.size
      if rehash { try blob.verifyAll(progress) }
    }
  }

  // MARK: Names

  mutating func verifyNames(report: (ServiceError) -> Void) throws(ServiceError) {
    for finding in try core.names.verify() { note(ServiceError(.corrupt, finding), report) }
    var walk = ClosureWalk(core)
    var problems: [ServiceError] = []
    var count: UInt64 = 0
    do throws(ServiceError) {
      try core.names.forEachReference(unnamedSince: nil) { (reference) throws(ServiceError) in
        count += 1
        walk.verify(reference.node, of: describe(reference)) { problems.append($0) }
        for problem in problems { report(problem) }
        result.problems += UInt64(problems.count)
        problems = []
      }
    } catch {
      // Said already by the names' own check.
      if error.code != .corrupt { throw error }
    }
    result.names = count
  }

  private mutating func note(_ problem: ServiceError, _ report: (ServiceError) -> Void) {
    result.problems += 1
    report(problem)
  }
}
