public import Castore
import Platform

/// A number of directories in memory; the one longest unused makes room, and what nobody
/// uses for a minute goes. For the near side of a cache.
public final class LRUDirectoryService: DirectoryService {
  private let directories: Cache<B3Digest, Directory>

  /// Makes an empty one that holds so many.
  public init(capacity: Int) {
    directories = Cache(limit: capacity)
  }

  /// Looks for a directory, which is thereby used.
  public func get(_ digest: B3Digest) async throws(ServiceError) -> Directory? {
    directories[digest]
  }

  /// Holds a directory, until others need the room.
  public func put(_ directory: Directory) async throws(ServiceError) -> B3Digest {
    let digest = directory.digest
    directories.insert(directory, for: digest, weight: 1)
    return digest
  }

  /// Starts storing a tree; of a big one, the root stays longest.
  public func putMultiple() async throws(ServiceError) -> any DirectoryPutter {
    GraphDirectoryPutter { [self] closure async throws(ServiceError) in
      for member in closure.leavesToRoot() { _ = try await put(member.directory) }
    }
  }
}
