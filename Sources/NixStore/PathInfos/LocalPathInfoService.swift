public import Castore
public import NixCompat
internal import Platform

/// Path infos in a table of a local store, under the digests of their store paths.
public final class LocalPathInfoService: PathInfoService {
  private let table: any PathInfoTable
  private static let pageSize = 256

  /// Takes the table that a store keeps for path infos.
  package init(_ table: any PathInfoTable) {
    self.table = table
  }

  /// Fetches a path info.
  public func get(_ digest: StorePathDigest) async throws(ServiceError) -> PathInfo? {
    try pathInfoLocal(digest)
  }

  /// Stores a path info as it is. The commit, which waits for the disk, has a thread of its own.
  public func put(_ info: PathInfo) async throws(ServiceError) -> PathInfo {
    try await onThread(named: "path-info") { () throws(ServiceError) in
      try self.putLocal(info)
    }
    return info
  }

  /// Streams path infos in the order of their digests' bytes, a few hundred at a time; what changes
  /// meanwhile may or may not be seen.
  public func list() -> AsyncThrowingStream<PathInfo, any Error> {
    let cursor = Guarded<PathInfo?>(nil)
    let page = Guarded<ArraySlice<PathInfo>>([])
    let isAtEnd = Guarded(false)
    return AsyncThrowingStream {
      if let next = page.withLock({ $0.popFirst() }) { return next }
      if isAtEnd.withLock({ $0 }) { return nil }
      let infos = try self.listLocal(
        after: cursor.withLock { $0?.storePath.digest },
        limit: Self.pageSize
      )
      if infos.count < Self.pageSize { isAtEnd.withLock { $0 = true } }
      cursor.withLock { $0 = infos.last }
      return page.withLock { page in
        page = infos[...]
        return page.popFirst()
      }
    }
  }
}

extension LocalPathInfoService: LocalPathInfoAccess {
  /// Reads a path info.
  public func pathInfoLocal(_ digest: StorePathDigest) throws(ServiceError) -> PathInfo? {
    guard let bytes = try table.value(digest.bytes) else { return nil }
    return try decode(bytes, key: digest.bytes)
  }

  /// Counts the changes, those of other processes too.
  public func pathInfosVersion() throws(ServiceError) -> UInt64 {
    try table.version()
  }

  /// Stores a path info as it is, durably. Blocks.
  public func putLocal(_ info: PathInfo) throws(ServiceError) {
    try table.set(info.storePath.digest.bytes, to: info.encoded(), node: info.node)
  }

  /// Lists at most `limit` path infos in the order of their digests' bytes, those after a digest.
  public func listLocal(
    after digest: StorePathDigest?,
    limit: Int
  ) throws(ServiceError) -> [PathInfo] {
    var infos: [PathInfo] = []
    for (key, value) in try table.entries(after: digest?.bytes, limit: limit) {
      infos.append(try decode(value, key: key))
    }
    return infos
  }

  /// Takes a path info away, durably; what it named stays until it is collected. Blocks.
  ///
  /// - Returns: Whether there was one.
  public func removeLocal(_ digest: StorePathDigest) throws(ServiceError) -> Bool {
    try table.remove(digest.bytes)
  }

  private func decode(_ bytes: [UInt8], key: [UInt8]) throws(ServiceError) -> PathInfo {
    let what = "the path info \(NixBase32.encode(key)) in \(table.tableDescription) is damaged"
    do throws(PathInfoError) {
      let info = try PathInfo(canonicalEncoding: bytes)
      if info.storePath.digest.bytes == key { return info }
      throw .invalidNodeName([UInt8](info.storePath.baseName.utf8), .invalidLength(0))
    } catch {
      throw ServiceError(.corrupt, what, cause: error)
    }
  }
}
