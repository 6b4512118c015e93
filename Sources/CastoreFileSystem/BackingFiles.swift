internal import Castore
internal import FUSE
internal import Platform

/// The files that are open, by content, and the blobs' files that the kernel has open on our behalf.
///
/// The kernel takes one backing file for an inode at a time, and will not mix it with openings that we
/// serve: so what a file's first opening got, all others get until the last is closed, whatever has come to
/// be at hand meanwhile. A registration outlives that, since files are opened again; of those that nobody has
/// open a limited number is kept, for a limited time: they keep the space of files that are deleted.
/// Equal files share a registration. Safe from any thread.
final class BackingFiles: Sendable {
  /// What decides how a file is opened. A size that is not the blob's makes another file.
  struct Content: Hashable, Sendable {
    var digest: B3Digest
    var size: UInt64
  }

  /// How a file is opened.
  enum Opening: Equatable {
    /// The kernel reads the file itself.
    case passthrough(BackingID, OpenHandle)
    /// We are asked for its bytes.
    case served(OpenHandle)
    /// Passthrough does not work on this mount, and nothing has ever been opened with it.
    case off
  }

  fileprivate struct Registration: Sendable {
    let id: BackingID
    let kernel: KernelConnection

    func close() { try? kernel.closeBacking(id) }
  }

  fileprivate struct Entry {
    var content: Content
    /// `nil`: served until it is closed.
    var registration: Registration?
    var opens = 1
  }

  fileprivate struct State {
    var kernel: KernelConnection?
    /// Whether a registration has ever succeeded.
    var isProven = false
    var entries: [Entry?] = []
    var free: [Int] = []
    var places: [Content: Int] = [:]
  }

  fileprivate typealias IdleFiles = Cache<Content, Registration>

  private let state = Guarded(State())
  private let idle: IdleFiles

  /// - Parameter limit: How many registrations to keep of files that nobody has open.
  init(limit: Int) {
    idle = Cache(limit: limit) { $0.close() }
  }

  /// Begins a session; with none to ask everything is `.off`. What an earlier one registered ended with it.
  func begin(_ kernel: KernelConnection?) {
    state.withLock { $0 = State(kernel: kernel) }
    idle.removeAll()
  }

  /// Whether files are opened for passthrough.
  var isOn: Bool { state.withLock { $0.kernel != nil } }

  /// How many files are registered.
  var count: Int {
    idle.count + state.withLock { $0.entries.count { $0?.registration != nil } }
  }

  /// How many files are open.
  var openCount: Int { state.withLock { $0.places.count } }

  /// Lets go of registrations that were not used since the last call but one.
  func sweep() { idle.sweep() }

  /// Opens a file once more.
  ///
  /// - Parameters:
  ///   - file: Opens the blob's file; `nil` where the content is to be served. Called without a lock held,
  ///     and only where nobody has the file open.
  ///   - onFailure: Told about a registration that failed, and whether it is the first of all.
  func open(
    _ content: Content,
    file: () throws(ServiceError) -> OwnedDescriptor?,
    onFailure: (Errno, _ isFirst: Bool) -> Void
  ) throws(ServiceError) -> Opening {
    let (known, kernel) = state.withLock { ($0.openKnown(content, idle), $0.kernel) }
    guard let kernel else { return .off }
    if let known { return known }
    var failure: Errno?
    var registration: Registration?
    if let descriptor = try file() {
      do throws(Errno) {
        let id = try kernel.registerBacking(descriptor.number)
        registration = Registration(id: id, kernel: kernel)
      } catch {
        failure = error
      }
    }
    let hasFailed = failure != nil
    let (opening, isUsed, isFirst) = state.withLock {
      $0.settle(content, registration, hasFailed: hasFailed, kernel, idle)
    }
    if let failure { onFailure(failure, isFirst) }
    if !isUsed { registration?.close() }
    return opening
  }

  /// Closes what was opened with a handle.
  func release(_ handle: OpenHandle) {
    guard handle != .none else { return }
    for registration in state.withLock({ $0.release(handle, idle) }) { registration.close() }
  }
}

extension BackingFiles.State {
  fileprivate init(kernel: KernelConnection?) {
    self.init()
    self.kernel = kernel
  }

  fileprivate mutating func openKnown(
    _ content: BackingFiles.Content,
    _ idle: BackingFiles.IdleFiles
  ) -> BackingFiles.Opening? {
    if let place = places[content], let entry = entries[place] {
      entries[place]?.opens += 1
      return opening(place, entry)
    }
    // One of an earlier session stands for nothing any more.
    guard let registration = idle.take(content), registration.kernel === kernel else { return nil }
    return enter(BackingFiles.Entry(content: content, registration: registration))
  }

  /// Enters what a registration came to, unless somebody was faster.
  fileprivate mutating func settle(
    _ content: BackingFiles.Content,
    _ registration: BackingFiles.Registration?,
    hasFailed: Bool,
    _ connection: KernelConnection,
    _ idle: BackingFiles.IdleFiles
  ) -> (BackingFiles.Opening, isUsed: Bool, isFirstFailure: Bool) {
    // A session that has begun anew since knows nothing of the id, nor one that gave passthrough up.
    guard kernel === connection else { return (.off, false, false) }
    if let known = openKnown(content, idle) { return (known, false, false) }
    if hasFailed && !isProven {
      kernel = nil
      return (.off, false, true)
    }
    if registration != nil { isProven = true }
    return (enter(BackingFiles.Entry(content: content, registration: registration)), true, false)
  }

  /// - Returns: Registrations that are to be closed.
  fileprivate mutating func release(
    _ handle: OpenHandle,
    _ idle: BackingFiles.IdleFiles
  ) -> [BackingFiles.Registration] {
    guard let number = Int(exactly: handle.rawValue), number > 0, number <= entries.count,
      let entry = entries[number - 1]
    else { return [] }
    let place = number - 1
    if entry.opens > 1 {
      entries[place]?.opens -= 1
      return []
    }
    entries[place] = nil
    places[entry.content] = nil
    free.append(place)
    guard let registration = entry.registration, registration.kernel === kernel else { return [] }
    return idle.exchange(registration, for: entry.content, weight: 1)
  }

  private mutating func enter(_ entry: BackingFiles.Entry) -> BackingFiles.Opening {
    let place = free.popLast() ?? entries.count
    if place == entries.count { entries.append(entry) } else { entries[place] = entry }
    places[entry.content] = place
    return opening(place, entry)
  }

  private func opening(_ place: Int, _ entry: BackingFiles.Entry) -> BackingFiles.Opening {
    // 0 is the handle of what is not in here.
    let handle = OpenHandle(rawValue: UInt64(place + 1))
    return entry.registration.map { .passthrough($0.id, handle) } ?? .served(handle)
  }
}
