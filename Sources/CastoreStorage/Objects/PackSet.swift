internal import Castore
internal import Glibc
internal import Packs
internal import Platform
internal import Synchronization

/// A pack, open, with what is known about its records.
final class OpenPack: Sendable {
  let reader: PackReader
  let file: PackFile
  /// Which records were compared with their digests since the pack was opened: a bit for each place where one
  /// may begin.
  private let verified: VerifiedPlaces

  init(_ reader: PackReader, _ file: PackFile) {
    self.reader = reader
    self.file = file
    verified = VerifiedPlaces(byteCount: reader.header.fileLength)
  }

  var id: PackID { reader.id }

  func isVerified(_ place: RecordPlace) -> Bool { verified.contains(place.place) }

  func noteVerified(_ place: RecordPlace) { verified.insert(place.place) }
}

/// A set of multiples of 512, one bit each, without a lock.
private final class VerifiedPlaces: @unchecked Sendable {
  // Sendable: the words are touched by atomic operations only.
  private let words: UnsafeMutablePointer<Atomic<UInt64>>
  private let count: Int

  init(byteCount: UInt64) {
    count = Int(clamping: byteCount / UInt64(PackLayout.sector) / 64 + 1)
    words = .allocate(capacity: count)
    for word in 0..<count { (words + word).initialize(to: Atomic(0)) }
  }

  deinit {
    words.deinitialize(count: count)
    words.deallocate()
  }

  func contains(_ place: UInt64) -> Bool {
    guard let (word, bit) = position(of: place) else { return false }
    return words[word].load(ordering: .relaxed) & bit != 0
  }

  func insert(_ place: UInt64) {
    guard let (word, bit) = position(of: place) else { return }
    words[word].bitwiseOr(bit, ordering: .relaxed)
  }

  private func position(of place: UInt64) -> (word: Int, bit: UInt64)? {
    let number = place / UInt64(PackLayout.sector)
    guard place % UInt64(PackLayout.sector) == 0, number / 64 < UInt64(count) else { return nil }
    return (Int(number / 64), 1 << (number % 64))
  }
}

/// The packs of a store that are open: those used lately.
///
/// Bounded by the number of descriptors that the process may have; what is dropped is closed when the last
/// reader lets go of it, and opened again when somebody asks.
final class PackSet: Sendable {
  private struct State {
    var open: [PackID: (pack: OpenPack, lastUse: UInt64)] = [:]
    var uses: UInt64 = 0
  }

  private let folder: SharedDescriptor
  private let path: String
  private let state = Guarded(State())
  private let limit: Int

  /// - Parameters:
  ///   - folder: The store's `packs/`.
  ///   - path: Its path, for messages.
  init(_ folder: SharedDescriptor, path: String) {
    self.folder = folder
    self.path = path
    var descriptors = rlimit()
    let isKnown = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &descriptors) == 0
    limit = isKnown ? max(8, min(1024, Int(clamping: descriptors.rlim_cur) / 4)) : 64
  }

  /// Opens a pack, or finds it open.
  ///
  /// - Returns: `nil` where there is no such pack any more.
  /// - Throws: `.corrupt` where neither its header nor its footer is good.
  func pack(_ id: PackID) throws(ServiceError) -> OpenPack? {
    let found = state.withLock { state -> OpenPack? in
      state.uses += 1
      guard let place = state.open.index(forKey: id) else { return nil }
      state.open.values[place].lastUse = state.uses
      return state.open.values[place].pack
    }
    if let found { return found }
    guard let pack = try open(id) else { return nil }
    // Closed after unlocking.
    var dropped: [OpenPack] = []
    let kept = state.withLock { state -> OpenPack in
      if let other = state.open[id] { return other.pack }
      if state.open.count >= limit { dropped = Self.dropOldest(&state) }
      state.open[id] = (pack, state.uses)
      return pack
    }
    withExtendedLifetime(dropped) {}
    return kept
  }

  /// Closes what nobody reads just now, to make room for other descriptors.
  func closeIdle() {
    let dropped = state.withLock { state in
      defer { state.open = [:] }
      return state.open
    }
    withExtendedLifetime(dropped) {}
  }

  /// Forgets a pack that is gone, so that its space is given back.
  func forget(_ id: PackID) {
    let dropped = state.withLock { $0.open.removeValue(forKey: id) }
    withExtendedLifetime(dropped) {}
  }

  /// The path of a pack, for messages.
  func path(of id: PackID) -> String { "\(path)/\(id.fileName(.pack))" }

  // A quarter at once, so that the search for the oldest is paid for by many that come.
  private static func dropOldest(_ state: inout State) -> [OpenPack] {
    let uses = state.open.values.map(\.lastUse).sorted()
    let limit = uses[uses.count / 4]
    var dropped: [OpenPack] = []
    for (id, entry) in state.open where entry.lastUse <= limit {
      dropped.append(entry.pack)
      state.open[id] = nil
    }
    return dropped
  }

  private func open(_ id: PackID) throws(ServiceError) -> OpenPack? {
    let name = id.fileName(.pack)
    let parent = folder.number
    let number: CInt
    do throws(Errno) {
      number = try retryingOnInterrupt {
        openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
      }
    } catch {
      if error.code == ENOENT { return nil }
      throw ServiceError.system(error, "open \(path)/\(name)")
    }
    do throws(PackError) {
      let file = try PackFile(OwnedDescriptor(adopting: number), name: name)
      return OpenPack(try PackReader(file, id: id), file)
    } catch {
      throw ServiceError(error, in: path)
    }
  }
}
