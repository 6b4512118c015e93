internal import Platform
internal import Synchronization

extension BLAKE3 {
  /// Hashes bytes that are all in memory, on several threads. Blocks until they are done.
  ///
  /// - Parameters:
  ///   - bytes: The input. Nobody may write to it meanwhile.
  ///   - workers: How many threads, the calling one included; all cores by default.
  ///   - pieceLength: What a thread hashes at a time: a power of two chunks.
  ///   - mode: What the hash is for.
  /// - Complexity: O(bytes); 32 bytes of memory for each piece.
  public static func hashParallel(
    _ bytes: UnsafeRawBufferPointer,
    workers: Int? = nil,
    pieceLength: Int = 1 << 20,
    mode: Mode = .hash
  ) -> Digest {
    precondition(
      pieceLength >= chunkLength && pieceLength.nonzeroBitCount == 1,
      "a piece is a power of two chunks"
    )
    if bytes.count <= pieceLength { return hash(bytes, mode: mode) }

    let pieces = (bytes.count - 1) / pieceLength + 1
    let cvs = Guarded([Digest](repeating: .zero, count: pieces))
    let next = Atomic<Int>(0)
    // The caller lends the bytes for the whole call, the threads only read them and end within it.
    nonisolated(unsafe) let bytes = bytes
    Crew.run(min(workers ?? Crew.size, pieces)) {
      while true {
        let piece = next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard piece < pieces else { return }
        let start = piece * pieceLength
        let end = start + min(pieceLength, bytes.count - start)
        let cv = subtreeCV(
          UnsafeRawBufferPointer(rebasing: bytes[start..<end]),
          chunk: UInt64(start / chunkLength),
          mode: mode
        )
        cvs.withLock { $0[piece] = cv }
      }
    }
    return root(of: cvs.withLock { $0 }, mode: mode)
  }

  /// Hashes bytes that are all in memory, on several threads. Blocks until they are done.
  ///
  /// - Complexity: O(bytes); 32 bytes of memory for each MiB.
  public static func hashParallel(
    _ bytes: [UInt8],
    workers: Int? = nil,
    mode: Mode = .hash
  ) -> Digest {
    bytes.withUnsafeBytes { hashParallel($0, workers: workers, mode: mode) }
  }
}
