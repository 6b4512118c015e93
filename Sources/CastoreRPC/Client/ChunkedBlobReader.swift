import BLAKE3
import Castore

/// A big blob whose server told its chunks: any part of it costs the chunks that it lies in.
///
/// Every chunk is verified before a byte of it is given out. That the chunks make up the blob shows when
/// they are read from first to last: the last one is only given out when it is so.
actor ChunkedBlobReader: BlobReader {
  /// The longest chunk that is fetched whole.
  static let chunkLimit: UInt64 = 8 << 20
  // How much stays in memory.
  private static let cacheLimit = 8 << 20
  // How many chunks are fetched ahead of somebody who reads onwards.
  private static let readAhead = 3

  nonisolated let size: UInt64
  nonisolated var memoryBound: Int {
    let list = chunks.count * (MemoryLayout<ChunkMeta>.stride + MemoryLayout<UInt64>.stride)
    return list + Int(min(size, UInt64(Self.cacheLimit)))
  }
  private let digest: B3Digest
  private let chunks: [ChunkMeta]
  // Where each chunk begins.
  private let starts: [UInt64]
  private let fetcher: BlobFetcher
  // Fetched or being fetched, the longest unused first.
  private var loaded: [(index: Int, task: Task<[UInt8], any Error>)] = []
  private var lastIndex = -1
  // Everything before this chunk went through the hasher.
  private var hashedCount = 0
  private var hasher = BLAKE3.Hasher()

  /// Reads chunks when they are asked for; `nil` where they cannot be used.
  init?(_ digest: B3Digest, chunks: [ChunkMeta], fetcher: BlobFetcher) {
    var starts: [UInt64] = []
    starts.reserveCapacity(chunks.count)
    var size: UInt64 = 0
    for chunk in chunks {
      guard chunk.size > 0, chunk.size <= Self.chunkLimit else { return nil }
      starts.append(size)
      let (sum, overflow) = size.addingReportingOverflow(chunk.size)
      if overflow { return nil }
      size = sum
    }
    self.digest = digest
    self.chunks = chunks
    self.starts = starts
    self.size = size
    self.fetcher = fetcher
  }

  deinit {
    for entry in loaded { entry.task.cancel() }
  }

  func read(at offset: UInt64, count: Int) async throws(ServiceError) -> [UInt8] {
    let range = byteRange(at: offset, count: count, of: size)
    var bytes: [UInt8] = []
    var position = range.lowerBound
    while position < range.upperBound {
      let index = chunk(at: position)
      let chunk = try await fetched(index)
      let from = Int(position - starts[index])
      let to = min(chunk.count, from + Int(range.upperBound - position))
      bytes += chunk[from..<to]
      position += UInt64(to - from)
    }
    return bytes
  }

  // The last chunk that begins at or before an offset inside of the blob.
  private func chunk(at offset: UInt64) -> Int {
    var (low, high) = (0, starts.count)
    while high - low > 1 {
      let middle = low + (high - low) / 2
      if starts[middle] <= offset { low = middle } else { high = middle }
    }
    return low
  }

  private func fetched(_ index: Int) async throws(ServiceError) -> [UInt8] {
    let task = load(index)
    if index == lastIndex || index == lastIndex + 1 {
      for next in index..<min(index + Self.readAhead + 1, chunks.count) where next > index {
        _ = load(next)
      }
    }
    lastIndex = index
    let bytes: [UInt8]
    do {
      bytes = try await task.value
    } catch {
      loaded.removeAll { $0.index == index }
      throw ServiceError(error, action: "reading blob \(digest)", peer: fetcher.peer.name)
    }
    try hash(bytes, ofChunk: index)
    return bytes
  }

  private func load(_ index: Int) -> Task<[UInt8], any Error> {
    if let place = loaded.firstIndex(where: { $0.index == index }) {
      let entry = loaded.remove(at: place)
      loaded.append(entry)
      return entry.task
    }
    let (chunk, fetcher) = (chunks[index], fetcher)
    // Not a child of the reading task: several readers may wait for it.
    let task = Task.detached {
      try await fetcher.peer.perform("reading chunk \(chunk.digest)") {
        try await fetcher.fetch(chunk.digest, size: Int(chunk.size))
      }
    }
    loaded.append((index, task))
    var held = loaded.reduce(0) { $0 + chunks[$1.index].size }
    while held > Self.cacheLimit, loaded.count > Self.readAhead + 1 {
      held -= chunks[loaded[0].index].size
      loaded.removeFirst()
    }
    return task
  }

  private func hash(_ bytes: [UInt8], ofChunk index: Int) throws(ServiceError) {
    guard index == hashedCount else { return }
    hasher.update(bytes)
    hashedCount += 1
    guard hashedCount == chunks.count else { return }
    let actual = B3Digest(hasher.finalize())
    if actual != digest {
      hashedCount -= 1
      throw ServiceError(
        .corrupt,
        "\(fetcher.peer.name): the chunks listed for blob \(digest) make up \(actual)"
      )
    }
  }
}
