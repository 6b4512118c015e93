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
    if summary != NARSummary(size: narSize, sha256: narHash) {
      throw ServiceError(
        .invalidArgument,
        "the tree at \(storePath.absolutePath) is not what the closure says: its NAR has "
          + "\(summary.size) bytes and the hash \(summary.sha256), but \(narSize) bytes and "
          + "\(narHash) are stated"
      )
    }
    return PathInfo(
      storePath: storePath,
      node: node,
      references: references,
      narSize: narSize,
      narHash: narHash,
      signatures: signatures,
      deriver: deriver,
      contentAddress: contentAddress
    )
  }
}
