internal import Castore
internal import Platform

/// A directory in memory, shared by all requests that look at it.
final class LoadedDirectory: Sendable {
  let index: DirectoryIndex
  let numbering: DirectoryNumbering

  init(_ index: DirectoryIndex) {
    self.index = index
    numbering = DirectoryNumbering(index)
  }

  /// What it takes in memory, in bytes, about.
  var byteCount: Int { index.encoding.count + 4 * index.count + numbering.byteCount + 128 }
}

/// Directories and open readers of blobs, kept for the requests that follow: in one cache, so that
/// the memory is where the requests are.
final class StoreCache: Sendable {
  private enum Key: Hashable, Sendable {
    case directory(B3Digest)
    case reader(B3Digest)
  }

  private enum Kept: Sendable {
    case directory(LoadedDirectory)
    case reader(any BlobReader)

    var byteCount: Int {
      switch self {
      case .directory(let directory): directory.byteCount
      case .reader(let reader): reader.memoryBound
      }
    }
  }

  private let blobs: any BlobService
  private let directories: any DirectoryService
  private let localDirectories: (any LocalDirectoryAccess)?
  private let isAtHand: Bool
  private let cache: Cache<Key, Kept>

  /// - Parameters:
  ///   - isAtHand: Whether everything can be had again from this machine.
  ///   - byteLimit: What all that is kept may take in memory, about.
  init(
    _ blobs: any BlobService,
    _ directories: any DirectoryService,
    isAtHand: Bool,
    byteLimit: Int
  ) {
    self.isAtHand = isAtHand
    self.blobs = blobs
    self.directories = directories
    localDirectories = directories as? any LocalDirectoryAccess
    cache = Cache(limit: byteLimit)
  }

  /// What is kept takes so many bytes, about.
  var byteCount: Int { cache.weight }

  /// Lets go of everything.
  func removeAll() { cache.removeAll() }

  /// Lets go of what was not used since the last call but one.
  func sweep() { cache.sweep() }

  /// Lets go of everything that could be had again from this machine.
  func shrink() {
    if isAtHand { cache.removeAll() }
  }

  // MARK: Directories

  /// The directory, if it is in memory or on this machine. May block on the local disk.
  func directoryAtHand(_ digest: B3Digest) throws(ServiceError) -> LoadedDirectory? {
    if case .directory(let directory) = cache[.directory(digest)] { return directory }
    guard let index = try localDirectories?.directoryIndexLocal(digest) else { return nil }
    let directory = LoadedDirectory(index)
    cache.insert(.directory(directory), for: .directory(digest), weight: directory.byteCount)
    return directory
  }

  /// The directory, wherever it is.
  func directory(_ digest: B3Digest) async throws -> LoadedDirectory {
    if let directory = try directoryAtHand(digest) { return directory }
    let kept = try await cache.value(for: .directory(digest), weight: \.byteCount) {
      [directories] in
      guard let directory = try await directories.get(digest) else { return nil }
      return .directory(LoadedDirectory(DirectoryIndex(directory)))
    }
    guard case .directory(let directory) = kept else {
      throw ServiceError(.notFound, "directory \(digest) is missing")
    }
    return directory
  }

  // MARK: Blobs

  /// Reads exactly `count` bytes, all of which the blob must have.
  func read(_ digest: B3Digest, at offset: UInt64, count: Int) async throws -> [UInt8] {
    let reader = try await reader(digest)
    var bytes: [UInt8] = []
    do {
      while bytes.count < count {
        let at = offset + UInt64(bytes.count)
        let part = try await reader.read(at: at, count: count - bytes.count)
        guard !part.isEmpty, part.count <= count - bytes.count else {
          throw ServiceError(
            .corrupt,
            "blob \(digest) gave \(part.count) bytes at \(at) where \(count - bytes.count) must be"
          )
        }
        if bytes.isEmpty && part.count == count { return part }
        bytes += part
      }
    } catch {
      // A failure is not remembered: the next read tries anew.
      cache.take(.reader(digest))
      throw error
    }
    return bytes
  }

  private func reader(_ digest: B3Digest) async throws -> any BlobReader {
    let kept = try await cache.value(for: .reader(digest), weight: \.byteCount) { [blobs] in
      try await blobs.openRead(digest).map { .reader($0) }
    }
    guard case .reader(let reader) = kept else {
      throw ServiceError(.notFound, "blob \(digest) is missing")
    }
    return reader
  }
}
