public import Castore
import Synchronization

/// Brings trees with all they refer to from one store to another: only what is missing there.
///
/// Nothing is remembered between runs but what arrived: broken off and repeated, a copy goes on. Blobs go
/// first, then the directories as one checked whole, the name comes last and is the caller's.
public final class TreeCopier: Sendable {
  /// How far a copy is.
  public struct Progress: Hashable, Sendable {
    /// Directories that were read.
    public var directories: UInt64 = 0
    /// Directories that were sent.
    public var directoriesSent: UInt64 = 0
    /// Blobs that were looked for on the other side.
    public var blobs: UInt64 = 0
    /// Blobs that were missing there, and sent.
    public var blobsSent: UInt64 = 0
    /// Bytes of blobs that were sent.
    public var bytesSent: UInt64 = 0
  }

  // How many blobs are asked for or under way at a time.
  private static let parallelism = 64
  // How many bytes of a long blob are held at a time. Short ones are held whole.
  private static let pieceLength = 1 << 20

  private let source: OpenedServices
  private let target: OpenedServices
  private let directories = Atomic<UInt64>(0)
  private let directoriesSent = Atomic<UInt64>(0)
  private let blobs = Atomic<UInt64>(0)
  private let blobsSent = Atomic<UInt64>(0)
  private let bytesSent = Atomic<UInt64>(0)

  /// Prepares copies. Both sides have blobs and directories.
  public init(from source: OpenedServices, to target: OpenedServices) {
    self.source = source
    self.target = target
  }

  /// How far it is; from any thread.
  public var progress: Progress {
    Progress(
      directories: directories.load(ordering: .relaxed),
      directoriesSent: directoriesSent.load(ordering: .relaxed),
      blobs: blobs.load(ordering: .relaxed),
      blobsSent: blobsSent.load(ordering: .relaxed),
      bytesSent: bytesSent.load(ordering: .relaxed)
    )
  }

  /// Copies what a node refers to. Cancelling the task breaks it off.
  ///
  /// Holds the directories of the tree in memory.
  @concurrent
  public func copy(_ node: Node) async throws(ServiceError) {
    do {
      switch node {
      case .symlink: break
      case .file(let digest, let size, _):
        try await copyBlob(digest, size: size)
      case .directory(let digest, _):
        try await copyTree(digest)
      }
    } catch let error as ServiceError {
      throw error
    } catch {
      throw ServiceError(.cancelled, "the copy was broken off", cause: error)
    }
  }

  private func copyTree(_ root: B3Digest) async throws {
    guard let from = source.directories, let to = target.directories else {
      throw ServiceError(
        .unsupported,
        "a store without directories can neither give nor take trees"
      )
    }
    var graph = DirectoryGraph(.rootToLeaves(expecting: root))
    var isEmpty = true
    var seen: Set<B3Digest> = []
    try await withThrowingTaskGroup(of: Void.self) { group in
      var running = 0
      for try await directory in from.getRecursive(root) {
        isEmpty = false
        do throws(DirectoryGraphError) {
          try graph.add(directory)
        } catch {
          throw ServiceError(.corrupt, "the tree \(root) is not whole: \(error)")
        }
        directories.wrappingAdd(1, ordering: .relaxed)
        for entry in directory.entries {
          guard case .file(let digest, let size, _) = entry.node, seen.insert(digest).inserted
          else {
            continue
          }
          if running == Self.parallelism {
            try await group.next()
            running -= 1
          }
          running += 1
          group.addTask { try await self.copyBlob(digest, size: size) }
        }
      }
      try await group.waitForAll()
    }
    if isEmpty { throw ServiceError.directoryNotFound(root) }
    let closure: DirectoryClosure
    do throws(DirectoryGraphError) {
      closure = try graph.validate()
    } catch {
      throw ServiceError(.corrupt, "the tree \(root) is not whole: \(error)")
    }
    if try await isThere(closure, in: to) { return }
    let putter = try await to.putMultiple()
    for member in closure.leavesToRoot() {
      try Task.checkCancellation()
      try await putter.put(member.directory)
      directoriesSent.wrappingAdd(1, ordering: .relaxed)
    }
    _ = try await putter.close()
  }

  // That the root is there says nothing of what lies below: the other side may be a cache.
  private func isThere(
    _ closure: DirectoryClosure,
    in service: any DirectoryService
  ) async throws -> Bool {
    guard try await service.get(closure.root) != nil else { return false }
    var count = 0
    do {
      for try await _ in service.getRecursive(closure.root) { count += 1 }
    } catch let error as ServiceError {
      switch error.code {
      case .unavailable, .cancelled: throw error
      // Something below is missing or broken; it is sent again.
      default: return false
      }
    }
    return count == closure.count
  }

  private func copyBlob(_ digest: B3Digest, size: UInt64) async throws {
    guard let from = source.blobs, let to = target.blobs else {
      throw ServiceError(.unsupported, "a store without blobs can neither give nor take files")
    }
    let isThere = try await to.has(digest)
    blobs.wrappingAdd(1, ordering: .relaxed)
    if isThere { return }
    guard let reader = try await from.openRead(digest) else {
      throw ServiceError.blobNotFound(digest)
    }
    guard reader.size == size else {
      throw ServiceError(
        .corrupt,
        "blob \(digest) has \(reader.size) bytes, but the directory says \(size)"
      )
    }
    let writer = try await to.openWrite()
    let stored: B3Digest
    do {
      var offset: UInt64 = 0
      while offset < size {
        try Task.checkCancellation()
        let bytes = try await reader.read(at: offset, count: Self.pieceLength)
        guard !bytes.isEmpty else {
          throw ServiceError(.corrupt, "blob \(digest) ends at \(offset) of \(size) bytes")
        }
        try await writer.write(bytes)
        offset += UInt64(bytes.count)
        bytesSent.wrappingAdd(UInt64(bytes.count), ordering: .relaxed)
      }
      try Task.checkCancellation()
      stored = try await writer.close()
    } catch {
      await writer.abandon()
      throw error
    }
    guard stored == digest else {
      throw ServiceError.digestMismatch("blob", expected: digest, got: stored)
    }
    blobsSent.wrappingAdd(1, ordering: .relaxed)
  }
}
