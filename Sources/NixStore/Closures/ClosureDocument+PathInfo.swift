public import Castore
internal import NixCompat

extension ClosureDocument.Entry {
  /// The path info of a tree that was read for the entry.
  ///
  /// - Throws: Where the tree's NAR has not the size and hash that the document states.
  public func pathInfo(
    _ node: Node,
    _ summary: NARSummary
  ) throws(ServiceError) -> PathInfo {
    let isRight =
      (narHash ?? summary.sha256) == summary.sha256 && (narSize ?? summary.size) == summary.size
    if !isRight {
      throw ServiceError(
        .invalidArgument,
        "the tree at \(storePath.absolutePath) is not what the closure says: its NAR has "
          + "\(summary.size) bytes and the hash \(summary.sha256), but "
          + "\(narSize.map { "\($0)" } ?? "some") bytes and "
          + "\(narHash.map { "\($0)" } ?? "some hash") are stated"
      )
    }
    return PathInfo(
      storePath: storePath,
      node: node,
      references: references,
      narSize: summary.size,
      narHash: summary.sha256,
      signatures: signatures,
      deriver: deriver,
      contentAddress: contentAddress
    )
  }
}
