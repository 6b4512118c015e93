import Castore

/// The pieces of a blob that can be fetched and checked one by one.
struct BlobPieces: Sendable {
  private enum Layout {
    // The chunks that the server told of, and where each begins.
    case chunks([ChunkMeta], starts: [UInt64])
    case groups(BlobGroups)
  }

  /// The longest piece that is fetched whole.
  static let limit: UInt64 = 8 << 20

  /// The blob.
  let digest: B3Digest
  /// The blob's length.
  let size: UInt64
  private let layout: Layout

  /// Takes the chunks that a server lists; `nil` where they cannot be used.
  init?(_ digest: B3Digest, chunks: [ChunkMeta]) {
    var starts: [UInt64] = []
    starts.reserveCapacity(chunks.count)
    var size: UInt64 = 0
    for chunk in chunks {
      guard chunk.size > 0, chunk.size <= Self.limit else { return nil }
      starts.append(size)
      let (sum, overflow) = size.addingReportingOverflow(chunk.size)
      if overflow { return nil }
      size = sum
    }
    guard size > 0 else { return nil }
    self.digest = digest
    self.size = size
    layout = .chunks(chunks, starts: starts)
  }

  /// Takes the groups of a blob; `nil` where they are too long.
  init?(_ digest: B3Digest, groups: BlobGroups) {
    guard groups.groupSize <= Self.limit else { return nil }
    self.digest = digest
    size = groups.size
    layout = .groups(groups)
  }

  /// Whether pieces that are right each may still make up another blob.
  var isOneByOneOnly: Bool {
    if case .chunks = layout { true } else { false }
  }

  /// How many there are.
  var count: Int {
    switch layout {
    case .chunks(let chunks, _): chunks.count
    case .groups(let groups): groups.count
    }
  }

  /// How many bytes of memory it takes to know them.
  var memorySize: Int {
    switch layout {
    case .chunks(let chunks, _):
      chunks.count * (MemoryLayout<ChunkMeta>.stride + MemoryLayout<UInt64>.stride)
    case .groups(let groups): groups.count * B3Digest.byteCount
    }
  }

  /// The piece at an offset inside of the blob.
  func index(at offset: UInt64) -> Int {
    switch layout {
    case .groups(let groups): return Int(offset / groups.groupSize)
    case .chunks(_, let starts):
      // The last that begins at or before it.
      var (low, high) = (0, starts.count)
      while high - low > 1 {
        let middle = low + (high - low) / 2
        if starts[middle] <= offset { low = middle } else { high = middle }
      }
      return low
    }
  }

  /// Where a piece lies.
  func range(of index: Int) -> Range<UInt64> {
    switch layout {
    case .groups(let groups): groups.range(of: index)
    case .chunks(let chunks, let starts): starts[index]..<(starts[index] + chunks[index].size)
    }
  }

  /// Whether bytes are those of a piece.
  func isPiece(_ index: Int, _ bytes: [UInt8]) -> Bool {
    switch layout {
    case .chunks(let chunks, _): B3Digest(hashing: bytes) == chunks[index].digest
    case .groups(let groups): groups.isGroup(index, bytes)
    }
  }

  /// Fetches a piece, checked.
  func fetch(_ index: Int, from fetcher: BlobFetcher) async throws(ServiceError) -> [UInt8] {
    let range = range(of: index)
    let action = "reading blob \(digest) from \(range.lowerBound) to \(range.upperBound)"
    return try await fetcher.peer.perform(action) {
      switch layout {
      case .chunks(let chunks, _):
        return try await fetcher.fetch(chunks[index].digest, size: Int(chunks[index].size))
      case .groups(let groups):
        let (bytes, size) = try await fetcher.ranges.read(digest, range)
        guard size == groups.size, groups.isGroup(index, bytes) else {
          throw ServiceError(
            .corrupt,
            "\(fetcher.peer.name): \(action) gave other bytes than its own"
          )
        }
        return bytes
      }
    }
  }
}
