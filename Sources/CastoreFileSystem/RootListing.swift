internal import Castore

/// One listing of the root, filled as its names arrive.
///
/// The names may change while somebody reads them, and the kernel comes back for more by position:
/// so each listing is a snapshot, and its serial number is part of the cookies.
actor RootListing {
  nonisolated let serial: UInt64
  private var entries: [NamedNode] = []
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
  func fill(from roots: any RootNodes) {
    guard pump == nil else { return }
    pump = Task { [weak self] in
      do {
        for try await entry in roots.list() {
          guard let self else { return }
          await self.append(entry)
        }
        await self?.finish(.success(()))
      } catch {
        await self?.finish(.failure(error))
      }
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

  private func append(_ entry: NamedNode) {
    entries.append(entry)
    if !waiting.isEmpty { wake() }
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
actor RootListings {
  private static let limit = 8
  private let roots: any RootNodes
  private var listings: [RootListing] = []
  private var serials: UInt64 = 0

  init(_ roots: any RootNodes) {
    self.roots = roots
  }

  /// A new listing.
  func begin() async -> RootListing {
    // 30 bits: cookies are positive signed numbers with 32 bits of position.
    serials = serials % 0x3FFF_FFFF + 1
    let listing = RootListing(serial: serials)
    listings.append(listing)
    if listings.count > Self.limit { listings.removeFirst() }
    await listing.fill(from: roots)
    return listing
  }

  /// The listing of a serial number, or a new one in its place if that is long gone.
  func resume(_ serial: UInt64) async -> RootListing {
    for listing in listings where listing.serial == serial { return listing }
    return await begin()
  }
}
