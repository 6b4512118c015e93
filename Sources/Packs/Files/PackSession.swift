internal import Glibc
package import Platform
internal import Synchronization

/// One writer of a store as this module sees it: where its files are made, where they go, and how.
///
/// Shared by all threads that write for it. Files are made in the temporary folder and renamed into their
/// place when all their bytes are on the disk.
package final class PackSession: Sendable {
  /// How packs are written.
  package struct Options: Sendable {
    /// The most bytes of records that a pack takes before the next one is begun.
    package var targetSize = 64 << 20
    /// A writer's buffer; a writer has two.
    package var bufferSize = 8 << 20
    /// How many bytes a session writes through the page cache before it writes past it (`O_DIRECT`).
    /// `Int.max` is never, 0 at once. What is read right after a small import is then still at hand, and a
    /// large one goes at the disk's own speed: by default the first pack, or packs that are not full, are
    /// cached. A pack that fits into one buffer always is.
    package var cachedBytes = 32 << 20
    /// The permissions of files, whatever the process's mask.
    package var permissions: UInt16 = 0o400

    package init() {}

    /// The most bytes that a writer's `reserve` gives.
    package var maximumReservation: Int { bufferSize - PackLayout.page }
  }

  /// The number in the names of all files of the session.
  package let id: UInt64
  package let options: Options
  let temporary: OwnedDescriptor
  let packs: OwnedDescriptor

  private let nextNumber = Atomic<UInt64>(0)
  private let bytesWritten = Atomic<Int>(0)
  private let directRefused = Atomic<Bool>(false)

  /// Begins to write.
  ///
  /// - Parameters:
  ///   - id: Never used by a session before: random.
  ///   - temporary: A folder of this session's own, on the file system of `packs`.
  ///   - packs: Where packs and journals go.
  package init(
    id: UInt64,
    temporary: consuming OwnedDescriptor,
    packs: consuming OwnedDescriptor,
    options: Options = Options()
  ) {
    self.id = id
    self.temporary = temporary
    self.packs = packs
    self.options = options
  }

  /// An id that this session has not given out before.
  func makeID() -> PackID {
    PackID(
      session: id,
      number: nextNumber.wrappingAdd(1, ordering: .relaxed).oldValue
    )
  }

  /// Opens a pack that was just sealed.
  func openPack(_ id: PackID) throws(PackError) -> OwnedDescriptor {
    let name = id.fileName(.pack)
    let folder = packs.number
    return OwnedDescriptor(
      adopting: try systemCall("open \(name)") {
        openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
      }
    )
  }

  /// Makes the names of all that was sealed durable. Corresponds to `fsync(2)` on the folder of the packs.
  ///
  /// Whoever relies on packs that others sealed calls it too, before naming anything.
  package func syncPacks() throws(PackError) {
    try FileCalls.syncFolder(packs.number, name: "the folder of the packs")
  }

  /// Whether the next file is to be written past the page cache.
  package var prefersDirect: Bool {
    bytesWritten.load(ordering: .relaxed) >= options.cachedBytes && !isDirectRefused
  }

  /// Whether the file system has turned direct I/O down before.
  var isDirectRefused: Bool { directRefused.load(ordering: .relaxed) }

  func refuseDirect() { directRefused.store(true, ordering: .relaxed) }

  func countWritten(_ bytes: Int) { bytesWritten.wrappingAdd(bytes, ordering: .relaxed) }
}
