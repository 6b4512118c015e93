import BLAKE3
import Castore
import Platform

/// A big blob that can be fetched piece by piece: any part of it costs the pieces that it lies in.
///
/// Every piece is checked before a byte of it is given out. That listed chunks make up the blob shows when they are
/// read from first to last: the last one is only given out when it is so.
actor PiecewiseBlobReader: BlobReader {
  // How much stays in memory.
  private static let cacheLimit: UInt64 = 8 << 20
  // How much is fetched ahead of somebody who reads onwards.
  private static let readAhead: UInt64 = 3 << 20

  private struct Entry {
    let index: Int
    let size: UInt64
    let promise: Promise<[UInt8]>
    var isHere = false
  }

  nonisolated let size: UInt64
  nonisolated var memoryBound: Int {
    pieces.memorySize + head.count + Int(min(size, Self.cacheLimit + Self.readAhead))
  }
  private let pieces: BlobPieces
  private let fetcher: BlobFetcher
  // What came with the opening.
  private let head: [UInt8]
  // Fetched or being fetched, the longest unused first.
  private var loaded: [Entry] = []
  private var lastIndex = -1
  // Everything before this piece went through the hasher.
  private var hashedCount = 0
  private var hasher = BLAKE3.Hasher()

  /// Fetches pieces when they are asked for.
  ///
  /// - Parameter head: The first bytes of the blob, which came already. Checked like all others.
  init(_ pieces: BlobPieces, fetcher: BlobFetcher, head: [UInt8] = []) {
    self.pieces = pieces
    self.fetcher = fetcher
    self.head = head
    size = pieces.size
  }

  func read(at offset: UInt64, count: Int) async throws(ServiceError) -> [UInt8] {
    let range = byteRange(at: offset, count: count, of: size)
    var bytes: [UInt8] = []
    var position = range.lowerBound
    while position < range.upperBound {
      let index = pieces.index(at: position)
      let piece = try await piece(index)
      let from = Int(position - pieces.range(of: index).lowerBound)
      let to = min(piece.count, from + Int(range.upperBound - position))
      bytes += piece[from..<to]
      position += UInt64(to - from)
    }
    return bytes
  }

  nonisolated func part(around offset: UInt64) -> Range<UInt64>? {
    offset < size ? pieces.range(of: pieces.index(at: offset)) : size..<size
  }

  func read(part: Range<UInt64>) async throws(ServiceError) -> [UInt8] {
    guard !part.isEmpty, part.upperBound <= size else { return [] }
    let index = pieces.index(at: part.lowerBound)
    guard pieces.range(of: index) == part else {
      return try await read(at: part.lowerBound, count: Int(part.upperBound - part.lowerBound))
    }
    let bytes = try await Self.fetch(index, of: pieces, head, fetcher)
    try hash(bytes, ofPiece: index)
    return bytes
  }

  private func piece(_ index: Int) async throws(ServiceError) -> [UInt8] {
    let promise = load(index)
    if index == lastIndex || index == lastIndex + 1 {
      let end = pieces.range(of: index).upperBound
      var next = index + 1
      while next < pieces.count, pieces.range(of: next).upperBound <= end + Self.readAhead {
        _ = load(next)
        next += 1
      }
    }
    lastIndex = index
    let bytes: [UInt8]
    do {
      bytes = try await promise.value()
    } catch {
      throw ServiceError(error, action: "reading blob \(pieces.digest)", peer: fetcher.peer.name)
    }
    try hash(bytes, ofPiece: index)
    return bytes
  }

  private func load(_ index: Int) -> Promise<[UInt8]> {
    if let place = loaded.firstIndex(where: { $0.index == index }) {
      let entry = loaded.remove(at: place)
      loaded.append(entry)
      return entry.promise
    }
    let range = pieces.range(of: index)
    let entry = Entry(
      index: index,
      size: range.upperBound - range.lowerBound,
      promise: Promise()
    )
    loaded.append(entry)
    let (pieces, head, fetcher) = (pieces, head, fetcher)
    // Not a child of the reading task: several readers may wait for it. What was asked for comes, since
    // somebody will want it.
    Task.detached { [weak self] in
      do throws(ServiceError) {
        let bytes = try await Self.fetch(index, of: pieces, head, fetcher)
        entry.promise.resolve(.success(bytes))
        await self?.came(index)
      } catch {
        entry.promise.resolve(.failure(error))
        await self?.failed(index)
      }
    }
    return entry.promise
  }

  private static func fetch(
    _ index: Int,
    of pieces: BlobPieces,
    _ head: [UInt8],
    _ fetcher: BlobFetcher
  ) async throws(ServiceError) -> [UInt8] {
    let range = pieces.range(of: index)
    if range.upperBound <= UInt64(head.count) {
      let bytes = [UInt8](head[Int(range.lowerBound)..<Int(range.upperBound)])
      // What is wrong is fetched, which says so.
      if pieces.isPiece(index, bytes) { return bytes }
    }
    return try await pieces.fetch(index, from: fetcher)
  }

  private func came(_ index: Int) {
    guard let place = loaded.firstIndex(where: { $0.index == index }) else { return }
    loaded[place].isHere = true
    var held = loaded.reduce(0) { $0 + ($1.isHere ? $1.size : 0) }
    while held > Self.cacheLimit, let oldest = loaded.firstIndex(where: \.isHere) {
      held -= loaded.remove(at: oldest).size
    }
  }

  private func failed(_ index: Int) {
    loaded.removeAll { $0.index == index }
  }

  private func hash(_ bytes: [UInt8], ofPiece index: Int) throws(ServiceError) {
    guard pieces.isOneByOneOnly, index == hashedCount else { return }
    hasher.update(bytes)
    hashedCount += 1
    guard hashedCount == pieces.count else { return }
    let actual = B3Digest(hasher.finalize())
    if actual != pieces.digest {
      hashedCount -= 1
      throw ServiceError(
        .corrupt,
        "\(fetcher.peer.name): the chunks listed for blob \(pieces.digest) make up \(actual)"
      )
    }
  }
}

/// The bytes that a read of a blob gets: none past its end.
func byteRange(at offset: UInt64, count: Int, of size: UInt64) -> Range<UInt64> {
  let start = min(offset, size)
  return start..<(start + min(UInt64(max(count, 0)), size - start))
}
