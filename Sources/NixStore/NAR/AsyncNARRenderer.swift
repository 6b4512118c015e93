public import Castore

/// Writes trees of any services as NARs, fetching blobs and directories ahead of what is written.
public struct AsyncNARRenderer<Blobs: BlobService, Directories: DirectoryService>: Sendable {
  private let blobs: Blobs
  private let directories: Directories

  /// How many blobs are fetched at once.
  private static var window: Int { 16 }
  /// Blobs up to this length are fetched whole and ahead; longer ones piece by piece when it is their turn.
  private static var aheadLimit: UInt64 { 1 << 20 }

  /// Renders from services.
  public init(blobs: Blobs, directories: Directories) {
    self.blobs = blobs
    self.directories = directories
  }

  /// What the walk has found and was not written yet.
  private enum Part {
    case literal([UInt8])
    /// Fetched ahead under this number.
    case small(Int)
    case large(B3Digest, size: UInt64)
  }

  /// Hands a tree's NAR to `write` in order, in pieces of at most about a mebibyte.
  ///
  /// - Throws: What `write` throws; `ServiceError` with `.notFound` where a blob or directory is missing,
  ///   `.corrupt` where a blob is not as long as its node says.
  public func render(
    _ node: Node,
    write: (sending [UInt8]) async throws -> Void
  ) async throws {
    try await withThrowingTaskGroup(of: (Int, [UInt8]).self) { group in
      var walk = NARWalk(node)
      var literal: [UInt8] = []
      var parts: [Part] = []
      var fetched: [Int: [UInt8]] = [:]
      var count = 0
      var underWay = 0
      var isAtEnd = false
      while true {
        while !isAtEnd && underWay < Self.window && parts.count < 4 * Self.window {
          switch try walk.next(into: &literal) {
          case .output: break
          case .directory(let digest):
            guard let directory = try await directories.get(digest) else {
              throw walk.missing(.directoryNotFound(digest))
            }
            walk.enter(DirectoryIndex(directory))
            continue
          case .contents(let digest, let size):
            parts.append(.literal(literal))
            literal = []
            if size <= Self.aheadLimit {
              parts.append(.small(count))
              let (number, place) = (count, walk.path)
              group.addTask { (number, try await fetch(digest, size, place)) }
              count += 1
              underWay += 1
            } else {
              parts.append(.large(digest, size: size))
            }
            try pass(size, &walk, &literal)
            continue
          case .end: isAtEnd = true
          }
          if !literal.isEmpty { parts.append(.literal(literal)) }
          literal = []
        }
        if parts.isEmpty { return }
        switch parts.removeFirst() {
        case .literal(let bytes):
          if !bytes.isEmpty { try await write(bytes) }
        case .large(let digest, let size):
          try await stream(digest, size, to: write)
        case .small(let number):
          while fetched[number] == nil, let (done, bytes) = try await group.next() {
            fetched[done] = bytes
          }
          underWay -= 1
          if let bytes = fetched.removeValue(forKey: number), !bytes.isEmpty {
            try await write(bytes)
          }
        }
      }
    }
  }

  private func pass(
    _ size: UInt64,
    _ walk: inout NARWalk,
    _ literal: inout [UInt8]
  ) throws(ServiceError) {
    var rest = size
    while rest > 0 {
      let count = Int(clamping: rest)
      try walk.passContents(count, into: &literal)
      rest -= UInt64(count)
    }
  }

  private func fetch(
    _ digest: B3Digest,
    _ size: UInt64,
    _ place: String
  ) async throws(ServiceError) -> [UInt8] {
    var bytes: [UInt8] = []
    let blob = try await open(digest, size, place)
    // Fits: at most `aheadLimit`.
    bytes.reserveCapacity(Int(size))
    while bytes.count < Int(size) {
      let part = try await blob.read(at: UInt64(bytes.count), count: Int(size) - bytes.count)
      if part.isEmpty { throw ended(digest, size) }
      bytes += part
    }
    return bytes
  }

  private func stream(
    _ digest: B3Digest,
    _ size: UInt64,
    to write: (sending [UInt8]) async throws -> Void
  ) async throws {
    let blob = try await open(digest, size, "a file")
    var offset: UInt64 = 0
    while offset < size {
      let count = Int(min(size - offset, 1 << 20))
      let part = try await blob.read(at: offset, count: count)
      if part.isEmpty { throw ended(digest, size) }
      offset += UInt64(part.count)
      try await write(part)
    }
  }

  private func open(
    _ digest: B3Digest,
    _ size: UInt64,
    _ place: String
  ) async throws(ServiceError) -> any BlobReader {
    guard let blob = try await blobs.openRead(digest) else {
      throw ServiceError(.notFound, "cannot render \(place): blob \(digest) does not exist")
    }
    if blob.size != size {
      throw ServiceError(
        .corrupt,
        "cannot render \(place): blob \(digest) has \(blob.size) bytes, but the tree says \(size)"
      )
    }
    return blob
  }

  private func ended(_ digest: B3Digest, _ size: UInt64) -> ServiceError {
    ServiceError(.corrupt, "blob \(digest) ends before its \(size) bytes")
  }
}
