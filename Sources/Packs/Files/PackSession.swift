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
    /// How many bytes of packs a session writes through the page cache before it writes past it
    /// (`O_DIRECT`). `Int.max` is never, 0 at once. A pack that fits into one buffer never goes past it.
    package var cachedBytes = 0
    /// The permissions of files, whatever the process's mask.
    package var permissions: UInt16 = 0o400

    package init() {}
  }

  /// The number in the names of all files of the session.
  package let id: UInt64
  package let options: Options
  let temporary: OwnedDescriptor
  let packs: OwnedDescriptor

  private let nextNumber = Atomic<UInt64>(0)
  private let bytesWritten = Atomic<Int>(0)
  private let isDirectRefused = Atomic<Bool>(false)

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

  /// Makes the names of all that was sealed durable. Corresponds to `fsync(2)` on the folder of the packs.
  ///
  /// Whoever relies on packs that others sealed calls it too, before naming anything.
  package func syncPacks() throws(PackError) {
    try FileCalls.syncFolder(packs.number, name: "the folder of the packs")
  }

  /// Whether the next pack is to be written past the page cache.
  var writesDirectly: Bool {
    bytesWritten.load(ordering: .relaxed) >= options.cachedBytes
      && !isDirectRefused.load(ordering: .relaxed)
  }

  /// The file system takes no direct I/O; nobody asks again.
  func refuseDirect() { isDirectRefused.store(true, ordering: .relaxed) }

  func countWritten(_ bytes: Int) { bytesWritten.wrappingAdd(bytes, ordering: .relaxed) }
}
