internal import Castore
internal import Glibc
internal import Packs
internal import Platform

/// Copies records out of packs that are to go, and lets these go once the copies are durable.
final class PackCopier {
  private let core: StoreCore
  private let session: Session
  private let writer: PackWriter
  private var copied: [PackID] = []
  private var bytes = 0
  private(set) var freedBytes: UInt64 = 0

  init(core: StoreCore, session: Session) throws(ServiceError) {
    self.core = core
    self.session = session
    writer = PackWriter(try session.packs(core))
  }

  /// Copies what is kept of a pack, in the order in which it was written: directories come after what they
  /// refer to.
  ///
  /// A record that is damaged keeps its pack: nothing of it is copied, and it stays for a repair.
  ///
  /// - Returns: Whether the pack goes.
  @discardableResult
  func copy(
    _ pack: OpenPack,
    keeping isKept: (PackEntry) throws(ServiceError) -> Bool
  ) throws(ServiceError) -> Bool {
    var entries: [PackEntry] = []
    var failure: ServiceError?
    do throws(PackError) {
      try pack.reader.forEach { (entry) throws(PackError) in
        do throws(ServiceError) {
          if try isKept(entry) { entries.append(entry) }
          return true
        } catch {
          failure = error
          return false
        }
      }
    } catch {
      throw ServiceError(error, in: core.index.packs.path(of: pack.id))
    }
    if let failure { throw failure }
    entries.sort { $0.at.place < $1.at.place }
    for entry in entries {
      let object = HeldObject(digest: B3Digest(entry.key), kind: ObjectKind(entry.at.kind))
      do throws(ServiceError) {
        try put(object, entry, pack)
      } catch {
        if error.code != .corrupt { throw error }
        core.damage.note(object, FoundObject(pack: pack.id, place: entry.at))
        return false
      }
    }
    copied.append(pack.id)
    bytes += entries.reduce(0) { $0 + Int($1.at.length) }
    // A full disk gets something back before all is copied.
    if bytes > Self.batchBytes { try finish() }
    return true
  }

  private static let batchBytes = 256 << 20

  /// Makes the copies durable and lets the packs go.
  func finish() throws(ServiceError) {
    do throws(PackError) {
      _ = try writer.finish()
    } catch {
      throw ServiceError(error, in: session.path)
    }
    for id in copied { freedBytes += try core.removePack(id) }
    copied = []
    bytes = 0
  }

  private func put(
    _ object: HeldObject,
    _ entry: PackEntry,
    _ pack: OpenPack
  ) throws(ServiceError) {
    let body = { (bytes: UnsafeRawBufferPointer) throws(ServiceError) -> Void in
      do throws(PackError) {
        try self.writer.put(entry.key, kind: entry.at.kind, bytes)
      } catch {
        throw ServiceError(error, in: self.session.path)
      }
    }
    switch entry.at.kind {
    case .blob, .directory:
      try core.readWhole(object.digest, object.kind, pack, entry.at, body)
    case .largeBlob, .chunkedBlob:
      try core.readUnverified(pack, entry.at, body)
    }
  }
}

extension StoreCore {
  /// Takes a pack away. Who has it open reads on.
  ///
  /// - Returns: What it took on the disk, in bytes.
  func removePack(_ id: PackID) throws(ServiceError) -> UInt64 {
    let name = id.fileName(.pack)
    var status = stat()
    if fstatat(packsFolder.number, name, &status, AT_SYMLINK_NOFOLLOW) != 0 { return 0 }
    if unlinkat(packsFolder.number, name, 0) != 0 && errno != ENOENT {
      throw ServiceError.system(.current, "remove \(index.packs.path(of: id))")
    }
    index.packs.forget(id)
    return UInt64(clamping: status.st_blocks) * 512
  }
}
