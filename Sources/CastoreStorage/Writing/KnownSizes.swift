internal import Castore
internal import Platform

/// The lengths of the store's large blobs: a hint that a long file may be there already.
///
/// Taken from the files' lengths when somebody first asks.
final class KnownSizes: Sendable {
  private let blobs: BlobFolder
  private let sizes = Guarded<Set<UInt64>?>(nil)

  init(_ blobs: BlobFolder) {
    self.blobs = blobs
  }

  func contain(_ size: UInt64) throws(ServiceError) -> Bool {
    if let sizes = sizes.withLock({ $0 }) { return sizes.contains(size) }
    var found: Set<UInt64> = []
    try blobs.forEachFile { (file) throws(ServiceError) in found.insert(file.size) }
    sizes.withLock { $0 = found }
    return found.contains(size)
  }
}
