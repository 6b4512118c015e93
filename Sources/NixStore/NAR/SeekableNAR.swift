public import Castore

/// The NAR of a tree, of which any part can be read: what every byte is, without the contents of files.
public struct SeekableNAR: Sendable {
  /// A run of bytes of the NAR.
  private struct Segment {
    /// Where it starts in the NAR.
    var start: UInt64
    var content: Content
  }

  private enum Content {
    /// A part of `literals`.
    case literal(Range<Int>)
    case blob(B3Digest)
  }

  /// How many bytes the NAR has.
  public let size: UInt64

  private let literals: [UInt8]
  private let segments: [Segment]

  /// How much memory a list may take, in bytes. A small graph of directories may stand for a huge tree.
  public static let defaultMemoryLimit = 256 << 20

  /// Walks a tree, whose directories must all be there; blobs are not looked at.
  ///
  /// - Throws: `.notFound` where a directory is missing, `.unsupported` where the list would take more
  ///   memory than allowed.
  public init(
    of node: Node,
    directories: some DirectoryService,
    memoryLimit: Int = defaultMemoryLimit
  ) async throws(ServiceError) {
    var builder = Builder(node, memoryLimit)
    while let digest = try builder.run() {
      guard let directory = try await directories.get(digest) else {
        throw builder.missing(digest)
      }
      builder.enter(DirectoryIndex(directory))
    }
    (literals, segments, size) = (builder.literals, builder.segments, builder.size)
  }

  /// Walks a tree whose directories are all at hand. Blocks on the disk.
  public init(
    of node: Node,
    localDirectories directories: any LocalDirectoryAccess,
    memoryLimit: Int = defaultMemoryLimit
  ) throws(ServiceError) {
    var builder = Builder(node, memoryLimit)
    while let digest = try builder.run() {
      guard let directory = try directories.directoryIndexLocal(digest) else {
        throw builder.missing(digest)
      }
      builder.enter(directory)
    }
    (literals, segments, size) = (builder.literals, builder.segments, builder.size)
  }

  /// Reads a part of the NAR.
  ///
  /// - Returns: At most `count` bytes, fewer only at the end of the NAR, none at or past it.
  /// - Throws: `.notFound` where a blob is missing, `.corrupt` where one is not as long as its node says.
  /// - Complexity: O(log n), then O(bytes read).
  public func read(
    at offset: UInt64,
    count: Int,
    from blobs: some BlobService
  ) async throws(ServiceError) -> [UInt8] {
    var bytes: [UInt8] = []
    guard offset < size, count > 0 else { return bytes }
    let end = offset + min(UInt64(count), size - offset)
    bytes.reserveCapacity(Int(end - offset))
    var place = segmentIndex(at: offset)
    var position = offset
    while position < end {
      let segment = segments[place]
      let segmentEnd = place + 1 < segments.count ? segments[place + 1].start : size
      let start = position - segment.start
      let wanted = min(end, segmentEnd) - position
      switch segment.content {
      case .literal(let range):
        let first = range.lowerBound + Int(start)
        bytes += literals[first..<(first + Int(wanted))]
      case .blob(let digest):
        let length = segmentEnd - segment.start
        try await read(digest, of: length, at: start, count: Int(wanted), blobs, into: &bytes)
      }
      position += wanted
      place += 1
    }
    return bytes
  }

  private func read(
    _ digest: B3Digest,
    of length: UInt64,
    at offset: UInt64,
    count: Int,
    _ blobs: some BlobService,
    into bytes: inout [UInt8]
  ) async throws(ServiceError) {
    guard let blob = try await blobs.openRead(digest) else { throw .blobNotFound(digest) }
    if blob.size != length {
      throw ServiceError(
        .corrupt,
        "blob \(digest) has \(blob.size) bytes, but the tree says \(length)"
      )
    }
    var done = 0
    while done < count {
      let part = try await blob.read(at: offset + UInt64(done), count: count - done)
      if part.isEmpty {
        throw ServiceError(.corrupt, "blob \(digest) ends before its \(length) bytes")
      }
      bytes += part
      done += part.count
    }
  }

  /// The last segment that does not start after an offset.
  private func segmentIndex(at offset: UInt64) -> Int {
    var (low, high) = (0, segments.count)
    while high - low > 1 {
      let middle = low + (high - low) / 2
      if segments[middle].start <= offset { low = middle } else { high = middle }
    }
    return low
  }

  private struct Builder {
    var literals: [UInt8] = []
    var segments: [Segment] = []
    var size: UInt64 { walk.offset }
    private var walk: NARWalk
    private let memoryLimit: Int
    private var literalStart = 0
    private var narStart: UInt64 = 0

    init(_ node: Node, _ memoryLimit: Int) {
      walk = NARWalk(node, outputLimit: .max)
      self.memoryLimit = memoryLimit
    }

    /// Goes on until a directory is needed; `nil` at the end.
    mutating func run() throws(ServiceError) -> B3Digest? {
      while true {
        switch try walk.next(into: &literals) {
        case .directory(let digest):
          try checkMemory()
          return digest
        case .output: break
        case .contents(let digest, let size): try add(digest, size)
        case .end:
          endLiteral()
          return nil
        }
      }
    }

    mutating func enter(_ directory: DirectoryIndex) {
      walk.enter(directory)
    }

    func missing(_ digest: B3Digest) -> ServiceError {
      walk.missing(.directoryNotFound(digest))
    }

    private mutating func add(_ digest: B3Digest, _ size: UInt64) throws(ServiceError) {
      endLiteral()
      if size > 0 { segments.append(Segment(start: narStart, content: .blob(digest))) }
      let (end, isOver) = walk.offset.addingReportingOverflow(size)
      if isOver || end > .max / 2 {
        throw ServiceError(.unsupported, "the NAR of the tree has more bytes than can be counted")
      }
      narStart = end
      var rest = size
      while rest > 0 {
        let count = Int(clamping: rest)
        try walk.passContents(count, into: &literals)
        rest -= UInt64(count)
      }
      try checkMemory()
    }

    private mutating func endLiteral() {
      if literalStart == literals.count { return }
      let range = literalStart..<literals.count
      segments.append(Segment(start: narStart, content: .literal(range)))
      narStart += UInt64(range.count)
      literalStart = literals.count
    }

    private func checkMemory() throws(ServiceError) {
      let taken = literals.count + segments.count * MemoryLayout<Segment>.stride
      if taken > memoryLimit {
        throw ServiceError(
          .unsupported,
          "the list of the NAR's parts takes more than \(memoryLimit) bytes of memory"
        )
      }
    }
  }
}
