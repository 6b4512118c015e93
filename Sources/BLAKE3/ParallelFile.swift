package import Platform
internal import Synchronization

/// One file hashed by several threads, which take equal pieces of it in turn.
///
/// How long the file is, is not taken from its metadata: threads take pieces until one of them
/// meets the end. Should several meet ends (the file changed), the first counts.
package enum ParallelFile {
  /// Below this, starting a thread costs more than it saves.
  package static let minimum = 1 << 20

  private struct State {
    // One value for each piece from the first one on, zero where it is still to come.
    var cvs: [BLAKE3.Digest] = []
    var end: Int?
    var failure: Errno?

    mutating func record(_ piece: HashedPiece, number: Int) {
      if piece.isLast { end = min(end ?? .max, piece.end) }
      guard piece.length > 0 else { return }
      if number >= cvs.count {
        cvs.append(contentsOf: repeatElement(.zero, count: number + 1 - cvs.count))
      }
      cvs[number] = piece.cv
    }
  }

  private struct HashedPiece {
    var cv: BLAKE3.Digest
    var start: Int
    var length: Int
    var isLast: Bool

    var end: Int { start + length }
  }

  /// Hashes a file.
  ///
  /// - Returns: Nothing if the file proves to be no longer than one piece: then what was
  ///   hashed as a subtree is the root, and the caller hashes it anew.
  package static func hash(
    _ file: CInt,
    expected: Int,
    workers: Int,
    mode: BLAKE3.Mode,
    progress: (@Sendable (Int) -> Void)?
  ) throws(Errno) -> (digest: BLAKE3.Digest, size: UInt64)? {
    let pieceLength = pieceLength(for: expected)
    let pieces = expected / pieceLength + 1
    var first = State()
    first.cvs.reserveCapacity(min(pieces, maximumPieces + 1))
    let state = Guarded(first)
    let next = Atomic<Int>(0)
    let isOver = Atomic<Bool>(false)

    Crew.run(min(workers, pieces)) {
      let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: BLAKE3.readLength,
        alignment: 64
      )
      defer { buffer.deallocate() }
      // Who takes a piece also hashes it: when all are done, every piece before an end is there.
      while !isOver.load(ordering: .relaxed) {
        let number = next.wrappingAdd(1, ordering: .relaxed).oldValue
        do throws(Errno) {
          // Wraps only past the last offset that a file can have, where reading fails.
          let piece = try hashPiece(
            file,
            at: number &* pieceLength,
            length: pieceLength,
            buffer: buffer,
            mode: mode,
            progress: progress
          )
          if piece.isLast { isOver.store(true, ordering: .relaxed) }
          state.withLock { $0.record(piece, number: number) }
        } catch {
          isOver.store(true, ordering: .relaxed)
          state.withLock { $0.failure = $0.failure ?? error }
        }
      }
    }

    var result = state.withLock { $0 }
    if let failure = result.failure { throw failure }
    guard let end = result.end, end > pieceLength else { return nil }
    result.cvs.removeSubrange(((end - 1) / pieceLength + 1)...)
    return (BLAKE3.root(of: result.cvs, mode: mode), UInt64(end))
  }

  // More pieces than this mean larger pieces, so that their values stay within 2 MiB.
  private static let maximumPieces = 1 << 16

  private static func pieceLength(for expected: Int) -> Int {
    var length = BLAKE3.readLength
    while length < 1 << 30 && expected / length > maximumPieces { length *= 2 }
    return length
  }

  private static func hashPiece(
    _ file: CInt,
    at start: Int,
    length: Int,
    buffer: UnsafeMutableRawBufferPointer,
    mode: BLAKE3.Mode,
    progress: (@Sendable (Int) -> Void)?
  ) throws(Errno) -> HashedPiece {
    var piece = HashedPiece(cv: .zero, start: start, length: 0, isLast: false)
    var cvs: [BLAKE3.Digest] = []
    while piece.length < length && !piece.isLast {
      let count = try BLAKE3.readFully(file, into: buffer, at: piece.end)
      piece.isLast = count < buffer.count
      if count == 0 { break }
      let cv = BLAKE3.subtreeCV(
        UnsafeRawBufferPointer(rebasing: buffer[..<count]),
        chunk: UInt64(piece.end / BLAKE3.chunkLength),
        mode: mode
      )
      if length == buffer.count { piece.cv = cv } else { cvs.append(cv) }
      piece.length += count
      progress?(count)
    }
    if !cvs.isEmpty {
      BLAKE3.reduce(&cvs, to: 1, mode: mode)
      piece.cv = cvs[0]
    }
    return piece
  }
}
