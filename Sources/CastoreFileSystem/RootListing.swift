internal import Castore
internal import Platform

/// One listing of the root, filled as its names arrive.
///
/// The names may change while somebody reads them, and the kernel comes back for more by position:
/// so each listing is a snapshot, and its serial number is part of the cookies.
actor RootListing {
  // How often the weight is told: each so many names.
  private static let step = 1024
  // An entry in the array, and a name on the heap with its header.
  private static let bytesPerEntry = MemoryLayout<NamedNode>.stride + 40

  nonisolated let serial: UInt64
  private var entries: [NamedNode] = []
  private var byteCount = 256
  private var end: Result<Void, any Error>?
  private var waiting: [CheckedContinuation<Void, Never>] = []
  private var pump: Task<Void, Never>?

  init(serial: UInt64) {
    self.serial = serial
  }

  deinit {
    pump?.cancel()
  }

  /// Begins to take in the names.
  ///
  /// - Parameter onGrowth: Told now and then how many bytes the listing takes in memory.
  func fill(from roots: any RootNodes, onGrowth: @escaping @Sendable (Int) -> Void) {
    guard pump == nil else { return }
    pump = Task { [weak self] in
      do {
        for try await entry in roots.list() {
          guard let self else { return }
          if let count = await self.append(entry) { onGrowth(count) }
        }
        await self?.finish(.success(()))
      } catch {
        await self?.finish(.failure(error))
      }
      if let count = await self?.byteCount { onGrowth(count) }
    }
  }

  /// Names from a position on, as soon as there is one; none at the end of the listing.
  ///
  /// - Parameter limit: How many at most.
  func entries(from position: Int, limit: Int) async throws -> ArraySlice<NamedNode> {
    while entries.count <= position {
      if let end {
        try end.get()
        return []
      }
      await withCheckedContinuation { waiting.append($0) }
    }
    return entries[position..<min(entries.count, position + limit)]
  }

  /// Whether the names could not be had, so that nobody else should read it.
  var hasFailed: Bool {
    if case .failure = end { return true }
    return false
  }

  private func append(_ entry: NamedNode) -> Int? {
    entries.append(entry)
    byteCount += Self.bytesPerEntry + entry.name.bytes.count
    if !waiting.isEmpty { wake() }
    return entries.count % Self.step == 0 ? byteCount : nil
  }

  private func finish(_ result: Result<Void, any Error>) {
    end = result
    wake()
  }

  private func wake() {
    for continuation in waiting { continuation.resume() }
    waiting = []
  }
}

/// The listings of the root that somebody may still be reading.
///
/// Who begins while the names are the same reads the same listing: many at once cost what one costs.
final class RootListings: Sendable {
  private struct Latest {
    var serial: UInt64
    /// What the names' version was; `nil` where nobody tells.
    var version: UInt64?
    var beginning: ContinuousClock.Instant
  }

  private struct State {
    var serial: UInt64 = 0
    var latest: Latest?
  }

  private let roots: any RootNodes
  private let localRoots: (any LocalRootNodes)?
  private let validity: Duration
  private let listings: Cache<UInt64, RootListing>
  private let state = Guarded(State())

  /// - Parameters:
  ///   - validity: For how long names are relied on where nobody tells of changes.
  ///   - byteLimit: What listings may take in memory, about. The latest stays whatever it takes.
  init(_ roots: any RootNodes, validity: Duration, byteLimit: Int) {
    self.roots = roots
    localRoots = roots as? any LocalRootNodes
    self.validity = validity
    listings = Cache(limit: byteLimit)
  }

  /// A listing of the names as they are now.
  func begin() async -> RootListing {
    let version = try? localRoots?.rootsVersion()
    let latest = state.withLock { $0.latest }
    if let latest, isCurrent(latest, version), let listing = listings[latest.serial],
      await !listing.hasFailed
    {
      return listing
    }
    // Let go of without the lock.
    var gone: [RootListing] = []
    let (listing, isNew) = state.withLock { state in
      // Of several that begin at once, one begins.
      if let now = state.latest, now.serial != latest?.serial, isCurrent(now, version),
        let listing = listings[now.serial]
      {
        return (listing, false)
      }
      // 30 bits: cookies are positive signed numbers with 32 bits of position.
      state.serial = state.serial % 0x3FFF_FFFF + 1
      let listing = RootListing(serial: state.serial)
      gone = listings.exchange(listing, for: state.serial, weight: 256)
      state.latest = Latest(serial: state.serial, version: version, beginning: .now)
      return (listing, true)
    }
    withExtendedLifetime(gone) {}
    if isNew {
      let serial = listing.serial
      await listing.fill(from: roots) { [weak listings] in listings?.setWeight($0, of: serial) }
    }
    return listing
  }

  /// The listing of a serial number, or the latest in its place if that is long gone.
  func resume(_ serial: UInt64) async -> RootListing {
    if let listing = listings[serial] { return listing }
    if let latest = state.withLock({ $0.latest }), let listing = listings[latest.serial],
      await !listing.hasFailed
    {
      return listing
    }
    return await begin()
  }

  /// How many are kept.
  var count: Int { listings.count }

  /// Lets go of what was not used since the last call but one.
  func sweep() { listings.sweep() }

  private func isCurrent(_ latest: Latest, _ version: UInt64?) -> Bool {
    if let version { return latest.version == version }
    return latest.version == nil && latest.beginning.duration(to: .now) < validity
  }
}
