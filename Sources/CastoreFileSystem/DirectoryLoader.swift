internal import Castore
internal import Platform

/// A directory in memory, shared by all requests that look at it.
final class LoadedDirectory: Sendable {
  let index: DirectoryIndex

  init(_ index: DirectoryIndex) {
    self.index = index
  }

  /// What it takes in memory, in bytes, about.
  var byteCount: Int { index.encoding.count + 4 * index.count + 128 }
}

/// Brings directories into memory and keeps those that were used last.
final class DirectoryLoader: Sendable {
  /// Two generations stand for an exact order of use: what is in neither was not used for at least
  /// half the budget. Directories are evicted by the thousand, without a list to maintain on each hit.
  private struct Cache {
    var young: [B3Digest: LoadedDirectory] = [:]
    var old: [B3Digest: LoadedDirectory] = [:]
    var youngBytes = 0

    mutating func find(_ digest: B3Digest, _ half: Int) -> LoadedDirectory? {
      if let directory = young[digest] { return directory }
      guard let directory = old[digest] else { return nil }
      insert(digest, directory, half)
      return directory
    }

    mutating func insert(_ digest: B3Digest, _ directory: LoadedDirectory, _ half: Int) {
      if youngBytes > half {
        old = young
        young = [:]
        youngBytes = 0
      }
      if young.updateValue(directory, forKey: digest) == nil { youngBytes += directory.byteCount }
    }
  }

  private let service: any DirectoryService
  private let local: (any LocalDirectoryAccess)?
  private let halfBudget: Int
  private let cache = Guarded(Cache())
  private let inFlight = Guarded<[B3Digest: Task<LoadedDirectory?, any Error>]>([:])

  /// - Parameter budget: How many bytes of directories to keep, about.
  init(_ service: any DirectoryService, budget: Int) {
    self.service = service
    local = service as? any LocalDirectoryAccess
    halfBudget = budget / 2
  }

  /// The directory, if it is in memory or on this machine. May block on the local disk.
  func atHand(_ digest: B3Digest) throws(ServiceError) -> LoadedDirectory? {
    if let directory = cache.withLock({ $0.find(digest, halfBudget) }) { return directory }
    guard let index = try local?.directoryIndexLocal(digest) else { return nil }
    return keep(digest, index)
  }

  /// The directory, wherever it is; `nil` where it does not exist. Several that ask at once wait for
  /// one answer.
  func load(_ digest: B3Digest) async throws -> LoadedDirectory? {
    if let directory = try atHand(digest) { return directory }
    let task = inFlight.withLock { inFlight in
      if let task = inFlight[digest] { return task }
      // Not cancelled with the request that began it: others may be waiting for it too.
      let task = Task { [service] () throws -> LoadedDirectory? in
        defer { self.inFlight.withLock { _ = $0.removeValue(forKey: digest) } }
        guard let directory = try await service.get(digest) else { return nil }
        return self.keep(digest, DirectoryIndex(directory))
      }
      inFlight[digest] = task
      return task
    }
    return try await task.value
  }

  private func keep(_ digest: B3Digest, _ index: DirectoryIndex) -> LoadedDirectory {
    let directory = LoadedDirectory(index)
    cache.withLock { $0.insert(digest, directory, halfBudget) }
    return directory
  }
}
