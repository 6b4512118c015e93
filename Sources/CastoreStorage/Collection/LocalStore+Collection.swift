public import Castore

extension LocalStore {
  /// Removes what nothing can reach: no name, no pin, no mount that shows it, no session that is not done.
  ///
  /// Runs beside readers, writers and mounts, none of which waits for it. What is open is read on. Can be
  /// ended at any moment: what was not removed by then stays for the next time. See docs/store.md for why
  /// nothing reachable goes. Blocks.
  ///
  /// - Parameters:
  ///   - unnamedSince: Keeps also what had a name at this time or later, in seconds since 1970.
  ///   - dryRun: Whether only to count.
  ///   - waits: Whether to wait for another collector.
  /// - Throws: `.unavailable` where another collector is at work; `.corrupt` where a directory that is
  ///   referred to, a pack or the names are damaged: what must stay is not known then, and nothing is removed.
  /// - Complexity: O(objects) lookups; some bits of memory for each.
  public func collectGarbage(
    unnamedSince: Int64? = nil,
    dryRun: Bool = false,
    waits: Bool = false
  ) throws(ServiceError) -> StoreCollection {
    guard let lock = try CollectorLock(store: core, waits: waits) else {
      throw ServiceError(.unavailable, "another collection of the store \(path) is at work")
    }
    defer { withExtendedLifetime(lock) {} }
    let collector = try Collector(core: core, unnamedSince: unnamedSince)
    return try collector.run(dryRun: dryRun)
  }
}
