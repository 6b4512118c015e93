import Castore

/// A big blob whose server offers no chunks: read from one stream, of which the last part stays in memory.
///
/// Reading onwards goes on in the stream, skipping reads what is skipped, and reading what is further
/// back than the part in memory begins again. Verified as far as it was read: what comes before the end may
/// be given out before the end shows that the server sent wrong bytes; the end never is.
actor StreamingBlobReader: BlobReader {
  // How much of what was read stays in memory: readers ask for neighbouring parts in any order.
  private static let windowLimit = 4 << 20

  nonisolated let size: UInt64
  // The window, and what is on its way in the stream.
  nonisolated var memoryBound: Int { Self.windowLimit + Int(WireLimits.window) }
  private let digest: B3Digest
  private let fetcher: BlobFetcher
  // Reads are long, so they queue here instead of interleaving.
  private let turn = AsyncLock()
  private var stream: VerifiedBlobStream?
  private var segments: [(start: UInt64, bytes: [UInt8])] = []
  private var end: UInt64 = 0
  private var isReading = false

  /// Reads from the start when it is asked to.
  ///
  /// - Parameter begun: A stream to go on with, and what it gave so far.
  init(
    _ digest: B3Digest,
    size: UInt64,
    fetcher: BlobFetcher,
    begun: sending (stream: VerifiedBlobStream, bytes: [UInt8])? = nil
  ) {
    self.size = size
    self.digest = digest
    self.fetcher = fetcher
    if let begun {
      stream = begun.stream
      segments = [(0, begun.bytes)]
      end = UInt64(begun.bytes.count)
    }
  }

  func read(at offset: UInt64, count: Int) async throws(ServiceError) -> [UInt8] {
    let range = byteRange(at: offset, count: count, of: size)
    if range.isEmpty { return [] }
    return try await turn.withLock { () async throws(ServiceError) in
      try await fetcher.peer.perform("reading blob \(digest)") {
        do {
          return try await readInTurn(range)
        } catch {
          forget()
          throw error
        }
      }
    }
  }

  /// None: there is one stream, from the start.
  nonisolated func part(around offset: UInt64) -> Range<UInt64>? { nil }

  /// Gives up the stream until the next read. For readers that nobody reads from.
  func letGo() {
    if !isReading { forget() }
  }

  private func readInTurn(_ range: Range<UInt64>) async throws -> [UInt8] {
    isReading = true
    defer { isReading = false }
    if let idle = fetcher.budget.used(self) { await idle.letGo() }
    if range.lowerBound < segments.first?.start ?? end { forget() }
    var bytes: [UInt8] = []
    // Not more than that at once: the count is the caller's word only.
    bytes.reserveCapacity(Int(min(UInt64(range.count), 1 << 20)))
    var position = range.lowerBound
    while position < range.upperBound {
      if position >= end {
        try await readOn(keepingFrom: position)
        continue
      }
      guard let segment = segments.last(where: { $0.start <= position }) else { break }
      let from = Int(position - segment.start)
      let to = min(segment.bytes.count, from + Int(range.upperBound - position))
      bytes += segment.bytes[from..<to]
      position += UInt64(to - from)
    }
    return bytes
  }

  private func readOn(keepingFrom position: UInt64) async throws {
    if stream == nil { stream = try await fetcher.stream(digest, size: size) }
    guard let stream, let next = try await stream.next() else {
      throw ServiceError(.corrupt, "\(fetcher.peer.name): blob \(digest) ended at \(end) bytes")
    }
    segments.append((end, next))
    end += UInt64(next.count)
    var held = segments.reduce(0) { $0 + $1.bytes.count }
    while held > Self.windowLimit, let first = segments.first,
      first.start + UInt64(first.bytes.count) <= position
    {
      held -= first.bytes.count
      segments.removeFirst()
    }
  }

  private func forget() {
    stream = nil
    segments = []
    end = 0
  }
}
