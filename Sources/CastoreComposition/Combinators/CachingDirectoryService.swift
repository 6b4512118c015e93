public import Castore
import Platform

/// Directories of a far service, kept in a near one once they were read, or in memory for a while.
///
/// A miss fetches what lies below as well, as far as `prefetchLimit` goes: walking a tree then costs fewer
/// round trips than it has directories. A near service that fails is passed by.
public final class CachingDirectoryService: DirectoryService {
  private let near: (any DirectoryService)?
  private let far: any DirectoryService
  private let prefetchLimit: Int
  private let missing: NegativeMemory<B3Digest>
  private let keeping = KeepQueue()
  // Fetched, and perhaps not near yet.
  private let ahead: Cache<B3Digest, Directory>

  /// Joins two services.
  ///
  /// - Parameters:
  ///   - near: `nil` where directories are only kept in memory.
  ///   - prefetchLimit: How many directories a miss brings besides the one asked for.
  ///   - negativeDuration: How long to remember that a directory was missing.
  ///   - memoryLimit: How many bytes of memory directories may take that were fetched, about.
  public init(
    near: (any DirectoryService)?,
    far: any DirectoryService,
    prefetchLimit: Int = 256,
    negativeDuration: Duration = .seconds(5),
    memoryLimit: Int = 32 << 20
  ) {
    self.near = near
    self.far = far
    self.prefetchLimit = prefetchLimit
    missing = NegativeMemory(negativeDuration)
    ahead = Cache(limit: memoryLimit)
  }

  /// Reads from the near side, or fetches the directory and some of what lies below.
  public func get(_ digest: B3Digest) async throws(ServiceError) -> Directory? {
    do throws(ServiceError) {
      if let directory = try await near?.get(digest) { return directory }
    } catch {}
    if let directory = ahead[digest] { return directory }
    if missing.isMissing(digest) { return nil }
    do {
      return try await ahead.value(for: digest, weight: \.memorySize) { [self] in
        try await fetch(digest)
      }
    } catch let error as ServiceError {
      throw error
    } catch {
      throw ServiceError(.cancelled, "fetching directory \(digest) was cancelled", cause: error)
    }
  }

  /// Stores a directory far, and near as well.
  public func put(_ directory: Directory) async throws(ServiceError) -> B3Digest {
    let digest = try await far.put(directory)
    await keep(directory)
    missing.forget(digest)
    return digest
  }

  /// Stores a tree far, and near as well.
  public func putMultiple() async throws(ServiceError) -> any DirectoryPutter {
    let farPutter = try await far.putMultiple()
    var putters = [farPutter]
    do throws(ServiceError) {
      if let near { putters.append(try await near.putMultiple()) }
    } catch {}
    return TwofoldDirectoryPutter(putters) { [missing] in missing.forget($0) }
  }

  private func fetch(_ digest: B3Digest) async throws -> Directory? {
    guard let directory = try await fetchWithMore(digest) else {
      missing.remember(digest)
      return nil
    }
    await keepSoon(directory)
    return directory
  }

  private func fetchWithMore(_ digest: B3Digest) async throws -> Directory? {
    guard prefetchLimit > 0 else { return try await far.get(digest) }
    let stream = far.getRecursive(digest)
    var iterator = stream.makeAsyncIterator()
    guard let root = try await iterator.next() else {
      // It may be there without what lies below, or may not be a root.
      return try await far.get(digest)
    }
    let hasChildren = root.entries.contains { $0.node.kind == .directory }
    guard hasChildren else { return root }
    var count = 0
    do {
      while count < prefetchLimit, let next = try await iterator.next() {
        await hold(next)
        count += 1
      }
    } catch {
      // What is missing below is not what was asked for.
    }
    return root
  }

  // In memory at once, and near as soon as that can be.
  private func hold(_ directory: Directory) async {
    ahead.insert(directory, for: directory.digest, weight: directory.memorySize)
    await keepSoon(directory)
  }

  private func keepSoon(_ directory: Directory) async {
    if near == nil { return }
    await keeping.run { [self] in await keep(directory) }
  }

  private func keep(_ directory: Directory) async {
    do throws(ServiceError) { _ = try await near?.put(directory) } catch {
      // Read again from afar next time.
    }
  }

  /// Waits until all that was read is near, or could not be kept.
  public func settle() async {
    await keeping.settle()
  }
}

extension CachingDirectoryService: LocalDirectoryAccess {
  private var local: (any LocalDirectoryAccess)? { near as? any LocalDirectoryAccess }

  /// Reads from the near service, where that is on this machine.
  public func directoryLocal(_ digest: B3Digest) throws(ServiceError) -> Directory? {
    try local?.directoryLocal(digest)
  }

  /// Reads from the near service, where that is on this machine.
  public func directoryIndexLocal(_ digest: B3Digest) throws(ServiceError) -> DirectoryIndex? {
    try local?.directoryIndexLocal(digest)
  }
}

/// Stores a tree in one or two places. The first decides; a second that fails is left behind.
actor TwofoldDirectoryPutter: DirectoryPutter {
  private let first: any DirectoryPutter
  private var second: (any DirectoryPutter)?
  private let onClose: @Sendable (B3Digest) -> Void

  /// - Parameter onClose: Told what is there now.
  init(_ putters: [any DirectoryPutter], onClose: @escaping @Sendable (B3Digest) -> Void) {
    precondition(!putters.isEmpty, "a tree is stored somewhere")
    first = putters[0]
    second = putters.count > 1 ? putters[1] : nil
    self.onClose = onClose
  }

  func put(_ directory: Directory) async throws(ServiceError) {
    try await first.put(directory)
    do throws(ServiceError) { try await second?.put(directory) } catch { second = nil }
  }

  func close() async throws(ServiceError) -> B3Digest {
    let digest = try await first.close()
    do throws(ServiceError) { _ = try await second?.close() } catch { second = nil }
    onClose(digest)
    return digest
  }
}
