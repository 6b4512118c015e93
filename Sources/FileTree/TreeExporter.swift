public import Castore
internal import Glibc
internal import Platform
internal import Synchronization

/// Writes a stored tree to the disk.
///
/// The destination must not exist. Everything is built under another name beside it, through open
/// folders and never over or through anything that is there, and gets its name at the end: either the
/// whole tree stands there or nothing. Depth is not limited. For one export.
public final class TreeExporter: Sendable {
  /// How far the export is.
  public let progress = TreeProgress()

  let blobs: any LocalBlobAccess
  let directories: any LocalDirectoryAccess
  private let isCancelled = Atomic<Bool>(false)

  /// Prepares an export from services that hold all of the tree.
  public init(blobs: any LocalBlobAccess, directories: any LocalDirectoryAccess) {
    self.blobs = blobs
    self.directories = directories
  }

  /// Writes a node to a path that does not exist. Blocks.
  ///
  /// Files get mode 0644 or 0755, folders 0755, less what the umask takes away. The tree is not synced.
  /// - Throws: The first error, which names the path; what was written so far is removed.
  public func export(_ node: Node, to path: String) throws(ServiceError) {
    try export(node, to: [UInt8](path.utf8))
  }

  /// Writes a node to a path that does not exist and need not be UTF-8.
  public func export(_ node: Node, to path: [UInt8]) throws(ServiceError) {
    let destination = try ExportDestination(path)
    do throws(ServiceError) {
      var writer = TreeWriter(exporter: self, destination: path)
      try writer.write(node, in: destination.parent, as: destination.draft)
      try throwIfCancelled()
      try destination.publish()
    } catch {
      destination.removeDraft()
      throw error
    }
  }

  /// Stops the export soon: it throws `.cancelled`. Safe from any thread.
  public func cancel() {
    isCancelled.store(true, ordering: .relaxed)
  }

  func throwIfCancelled() throws(ServiceError) {
    if isCancelled.load(ordering: .relaxed) {
      throw ServiceError(.cancelled, "the export was cancelled")
    }
  }
}
