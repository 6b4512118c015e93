internal import CBLAKE3
internal import Glibc
public import Platform
internal import Synchronization

extension BLAKE3 {
  /// Hashes a file from its first byte to its end and keeps the outboard. Blocks.
  ///
  /// As ``hashFile(_:workers:mode:progress:)``, with which it shares parameters and contract.
  ///
  /// - Returns: The digest, the size and the outboard.
  /// - Throws: What `fstat(2)` or `pread(2)` reports, `ENOMEM` where the file is too long for
  ///   this machine's memory.
  /// - Complexity: O(bytes); at most 256 KiB of memory for each thread, and 64 bytes for each 16 KiB
  ///   of the file.
  public static func hashFileWithOutboard(
    _ file: borrowing OwnedDescriptor,
    workers: Int? = nil,
    mode: Mode = .hash,
    progress: (@Sendable (Int) -> Void)? = nil
  ) throws(Errno) -> Outboard {
    var status = stat()
    guard fstat(file.number, &status) == 0 else { throw Errno.current }
    let expected = max(0, Int(status.st_size))
    let workers = max(1, workers ?? Crew.size)
    if workers > 1 && expected >= ParallelFile.minimum {
      let outboard = try OutboardFile.hash(
        file.number,
        expected: expected,
        workers: workers,
        mode: mode,
        progress: progress
      )
      if let outboard { return outboard }
    }

    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: readLength, alignment: 64)
    defer { buffer.deallocate() }
    var hasher = OutboardHasher(mode: mode)
    var size = 0
    while true {
      let length = try readFully(file.number, into: buffer, at: size)
      if length > 0 { progress?(length) }
      hasher.update(UnsafeRawBufferPointer(rebasing: buffer[..<length]))
      size += length
      if length < buffer.count { return hasher.finalize() }
    }
  }
}

/// One file whose groups are hashed by several threads, each into its own place.
private enum OutboardFile {
  private static let pieceGroups = BLAKE3.readLength / BLAKE3.Outboard.groupLength
  private static let pieceBytes = pieceGroups * BLAKE3.Digest.byteCount

  private struct State {
    var end: Int?
    var failure: Errno?
  }

  /// - Returns: Nothing if the file proves to be no longer than one group, or longer than it said:
  ///   then the caller reads it from the start, in one loop.
  static func hash(
    _ file: CInt,
    expected: Int,
    workers: Int,
    mode: BLAKE3.Mode,
    progress: (@Sendable (Int) -> Void)?
  ) throws(Errno) -> BLAKE3.Outboard? {
    // One piece more than there are: the one in which the end is met.
    let pieces = expected / BLAKE3.readLength + 1
    guard var values = GroupValues(capacity: pieces * pieceGroups) else { throw Errno(ENOMEM) }
    var result = State()
    try values.withRoom { (room) throws(Errno) in
      result = hash(file, pieces: pieces, workers: workers, mode: mode, progress, into: room)
      if let failure = result.failure { throw failure }
      return (max(result.end ?? 0, 1) - 1) / BLAKE3.Outboard.groupLength + 1
    }
    guard let end = result.end, end > BLAKE3.Outboard.groupLength else { return nil }
    return values.outboard(size: UInt64(end), mode: mode)
  }

  private static func hash(
    _ file: CInt,
    pieces: Int,
    workers: Int,
    mode: BLAKE3.Mode,
    _ progress: (@Sendable (Int) -> Void)?,
    into room: UnsafeMutableRawBufferPointer
  ) -> State {
    let state = Guarded(State())
    let next = Atomic<Int>(0)
    let isOver = Atomic<Bool>(false)
    // The caller lends the room until all threads have ended. Each piece is taken by one of them, and
    // has a place of its own.
    nonisolated(unsafe) let room = room

    Crew.run(min(workers, pieces)) {
      let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: BLAKE3.readLength,
        alignment: 64
      )
      defer { buffer.deallocate() }
      // Who takes a piece also hashes it: when all are done, every piece before an end is there.
      while !isOver.load(ordering: .relaxed) {
        let piece = next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard piece < pieces, let base = room.baseAddress else { return }
        let start = piece * buffer.count
        do throws(Errno) {
          let length = try BLAKE3.readFully(file, into: buffer, at: start)
          hashGroups(
            UnsafeRawBufferPointer(rebasing: buffer[..<length]),
            at: start,
            mode: mode,
            to: base + piece * pieceBytes
          )
          if length > 0 { progress?(length) }
          if length < buffer.count {
            isOver.store(true, ordering: .relaxed)
            state.withLock { $0.end = min($0.end ?? .max, start + length) }
          }
        } catch {
          isOver.store(true, ordering: .relaxed)
          state.withLock { $0.failure = $0.failure ?? error }
        }
      }
    }
    return state.withLock { $0 }
  }

  private static func hashGroups(
    _ bytes: UnsafeRawBufferPointer,
    at start: Int,
    mode: BLAKE3.Mode,
    to values: UnsafeMutableRawPointer
  ) {
    var key = mode.key
    var offset = 0
    while let base = bytes.baseAddress, offset < bytes.count {
      let length = min(BLAKE3.groupLength, bytes.count - offset)
      cblake3_subtree(
        &key,
        mode.flags,
        UInt64((start + offset) / BLAKE3.chunkLength),
        base + offset,
        length,
        (length - 1) / BLAKE3.Outboard.groupLength + 1,
        values + offset / BLAKE3.Outboard.groupLength * BLAKE3.Digest.byteCount
      )
      offset += length
    }
  }
}
