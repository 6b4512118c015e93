internal import Castore
internal import FUSE
internal import Platform

/// The blobs' files that the kernel has open on our behalf.
///
/// The kernel takes one backing file for an inode at a time, and will not mix it with openings that we
/// serve: so what a blob's first opening got, all others get until the last is closed. A registration
/// outlives that, since files are opened again; of those that nobody has open a limited number is kept.
/// Keyed by content: equal files share a registration. Safe from any thread.
final class BackingFiles: Sendable {
  /// How a file is opened.
  enum Opening: Equatable {
    /// The kernel reads the file itself.
    case passthrough(BackingID, OpenHandle)
    /// We are asked for its bytes.
    case served(OpenHandle)
    /// Passthrough does not work on this mount, and nothing has ever been opened with it.
    case off
  }

  fileprivate struct Entry {
    var digest: B3Digest
    /// `nil`: the registration failed while others worked, so the blob is served until it is closed.
    var backing: BackingID?
    var opens = 1
    // Neighbours among those that nobody has open.
    var older: Int?
    var newer: Int?
  }

  fileprivate struct State {
    var kernel: KernelConnection?
    /// Whether a registration has ever succeeded.
    var isProven = false
    var entries: [Entry?] = []
    var free: [Int] = []
    var places: [B3Digest: Int] = [:]
    var oldest: Int?
    var newest: Int?
    var idleCount = 0
  }

  private let limit: Int
  private let state = Guarded(State())

  /// - Parameter limit: How many registrations to keep of files that nobody has open.
  init(limit: Int) {
    self.limit = limit
  }

  /// Begins a session; with none to ask everything is `.off`. What an earlier one registered ended with it.
  func begin(_ kernel: KernelConnection?) {
    state.withLock { $0 = State(kernel: kernel) }
  }

  /// Whether files are opened for passthrough.
  var isOn: Bool { state.withLock { $0.kernel != nil } }

  /// How many files are registered.
  var count: Int { state.withLock { $0.places.count } }

  /// Opens a blob once more.
  ///
  /// - Parameters:
  ///   - file: Opens the blob's file; `nil` where it has none. Called without a lock held.
  ///   - onFailure: Told about a registration that failed, and whether it is the first of all.
  func open(
    _ digest: B3Digest,
    file: () throws(ServiceError) -> OwnedDescriptor?,
    onFailure: (Errno, _ isFirst: Bool) -> Void
  ) throws(ServiceError) -> Opening {
    let (known, connection) = state.withLock { ($0.openKnown(digest), $0.kernel) }
    guard let connection else { return .off }
    if let known { return known }
    guard let descriptor = try file() else { return .served(.none) }
    var failure: Errno?
    var id: BackingID?
    do throws(Errno) {
      id = try connection.registerBacking(descriptor.number)
    } catch {
      failure = error
    }
    let (opening, unused, isFirst) = state.withLock { $0.settle(digest, id, connection, limit) }
    if let failure { onFailure(failure, isFirst) }
    for id in unused { try? connection.closeBacking(id) }
    return opening
  }

  /// Closes what was opened with a handle.
  func release(_ handle: OpenHandle) {
    guard handle != .none else { return }
    let (unused, connection) = state.withLock { state in
      (state.release(handle, limit), state.kernel)
    }
    if let unused { try? connection?.closeBacking(unused) }
  }
}

extension BackingFiles.State {
  fileprivate init(kernel: KernelConnection?) {
    self.init()
    self.kernel = kernel
  }

  fileprivate mutating func openKnown(_ digest: B3Digest) -> BackingFiles.Opening? {
    guard let place = places[digest], var entry = entries[place] else { return nil }
    if entry.opens == 0 { unlink(place, &entry) }
    entry.opens += 1
    entries[place] = entry
    return opening(place, entry)
  }

  /// Enters what a registration came to, unless somebody was faster; with the ids to be closed.
  fileprivate mutating func settle(
    _ digest: B3Digest,
    _ id: BackingID?,
    _ connection: KernelConnection,
    _ limit: Int
  ) -> (BackingFiles.Opening, unused: [BackingID], isFirstFailure: Bool) {
    // A session that has begun anew since knows nothing of the id, nor one that gave passthrough up.
    guard kernel === connection else { return (.off, id.map { [$0] } ?? [], false) }
    if let known = openKnown(digest) { return (known, id.map { [$0] } ?? [], false) }
    if id == nil && !isProven {
      kernel = nil
      return (.off, [], true)
    }
    if id != nil { isProven = true }
    let entry = BackingFiles.Entry(digest: digest, backing: id)
    let place: Int
    if let reused = free.popLast() {
      place = reused
      entries[place] = entry
    } else {
      place = entries.count
      entries.append(entry)
    }
    places[digest] = place
    return (opening(place, entry), [], false)
  }

  /// - Returns: A registration that is to be closed.
  fileprivate mutating func release(_ handle: OpenHandle, _ limit: Int) -> BackingID? {
    guard let number = Int(exactly: handle.rawValue), number > 0, number <= entries.count,
      var entry = entries[number - 1], entry.opens > 0
    else { return nil }
    let place = number - 1
    entry.opens -= 1
    entries[place] = entry
    if entry.opens > 0 { return nil }
    if entry.backing == nil {
      remove(place, entry)
      return nil
    }
    link(place, &entry)
    guard idleCount > limit, let last = oldest, var evicted = entries[last] else { return nil }
    unlink(last, &evicted)
    remove(last, evicted)
    return evicted.backing
  }

  private func opening(_ place: Int, _ entry: BackingFiles.Entry) -> BackingFiles.Opening {
    // 0 is the handle of what is not in here.
    let handle = OpenHandle(rawValue: UInt64(place + 1))
    return entry.backing.map { .passthrough($0, handle) } ?? .served(handle)
  }

  private mutating func remove(_ place: Int, _ entry: BackingFiles.Entry) {
    places[entry.digest] = nil
    entries[place] = nil
    free.append(place)
  }

  private mutating func link(_ place: Int, _ entry: inout BackingFiles.Entry) {
    entry.older = newest
    entry.newer = nil
    entries[place] = entry
    if let newest { entries[newest]?.newer = place } else { oldest = place }
    newest = place
    idleCount += 1
  }

  private mutating func unlink(_ place: Int, _ entry: inout BackingFiles.Entry) {
    if let older = entry.older { entries[older]?.newer = entry.newer } else { oldest = entry.newer }
    if let newer = entry.newer { entries[newer]?.older = entry.older } else { newest = entry.older }
    entry.older = nil
    entry.newer = nil
    entries[place] = entry
    idleCount -= 1
  }
}
