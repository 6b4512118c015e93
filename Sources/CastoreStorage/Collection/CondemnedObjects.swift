internal import Castore
internal import Glibc
internal import Packs
internal import Platform
internal import SystemPackage

/// The set of objects that a collection is taking away, as the collector has published it: a table of keys,
/// `index/condemned-EPOCH`.
final class CondemnedObjects: Sendable {
  private struct Known {
    var epoch: UInt64
    var table: TableReader
  }

  private let folder: SharedDescriptor
  private let path: String
  private let known = Guarded<Known?>(nil)

  init(in folder: SharedDescriptor, path: String) {
    self.folder = folder
    self.path = "\(path)/\(StoreLayout.indexName)"
  }

  static let namePrefix = "condemned-"

  /// The name of the set of an epoch.
  static func name(epoch: UInt64) -> String { "\(namePrefix)\(SessionID(bits: epoch))" }

  /// Says whether an object is in the set of an epoch.
  ///
  /// - Returns: `nil` where there is no such set: the collection has ended meanwhile.
  func contains(_ object: HeldObject, epoch: UInt64) throws(ServiceError) -> Bool? {
    do throws(PackError) {
      guard let table = try table(epoch: epoch) else { return nil }
      return try table.find(PackKey(object.digest), object.kind.records) != nil
    } catch {
      // What cannot be read may name anything: storing an object again is never wrong.
      if case .damaged = error { return true }
      throw ServiceError(error, in: path)
    }
  }

  private func table(epoch: UInt64) throws(PackError) -> TableReader? {
    if let known = known.withLock({ $0 }), known.epoch == epoch { return known.table }
    let name = Self.name(epoch: epoch)
    let number = openat(folder.number, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    if number == -1 {
      if errno == ENOENT { return nil }
      throw PackError.system(SystemPackage.Errno(rawValue: errno), "open \(name)")
    }
    let table = try TableReader(try PackFile(OwnedDescriptor(adopting: number), name: name))
    known.withLock { $0 = Known(epoch: epoch, table: table) }
    return table
  }
}
