internal import Glibc
public import Platform

extension BLAKE3 {
  // What is read at a time: fits the second-level cache together with what hashing needs.
  // Never a memory map: its page faults cost more than the copy.
  package static let readLength = 256 * 1024

  /// Hashes a file from its first byte to its end, wherever its own offset is. Blocks.
  ///
  /// The end is where reading finds it, whatever the file's metadata say. If the file changes
  /// meanwhile, the digest is that of some bytes of the returned length, each read at some moment.
  ///
  /// - Parameters:
  ///   - file: A descriptor that can be read at offsets; its own offset stays as it is.
  ///   - workers: How many threads, the calling one included; all cores by default. Small files
  ///     are hashed on the calling thread alone.
  ///   - mode: What the hash is for.
  ///   - progress: Told how many more bytes are hashed, each time some are; on any of the threads,
  ///     several at once. What it was told may exceed the size if the file shrinks meanwhile.
  /// - Returns: The digest, and how many bytes it is of.
  /// - Throws: What `fstat(2)` or `pread(2)` reports.
  /// - Complexity: O(bytes); at most 256 KiB of memory for each thread, and 32 bytes for each
  ///   256 KiB of the file, or less.
  public static func hashFile(
    _ file: borrowing OwnedDescriptor,
    workers: Int? = nil,
    mode: Mode = .hash,
    progress: (@Sendable (Int) -> Void)? = nil
  ) throws(Errno) -> (digest: Digest, size: UInt64) {
    var status = stat()
    guard fstat(file.number, &status) == 0 else { throw Errno.current }
    let expected = max(0, Int(status.st_size))
    let workers = max(1, workers ?? Crew.size)
    if workers > 1 && expected >= ParallelFile.minimum {
      let whole = try ParallelFile.hash(
        file.number,
        expected: expected,
        workers: workers,
        mode: mode,
        progress: progress
      )
      if let whole { return whole }
    }
    return try hashInOneLoop(file.number, expected: expected, mode: mode, progress: progress)
  }

  private static func hashInOneLoop(
    _ file: CInt,
    expected: Int,
    mode: Mode,
    progress: (@Sendable (Int) -> Void)?
  ) throws(Errno) -> (digest: Digest, size: UInt64) {
    // One byte more than expected: the read that fills the buffer then meets the end, too.
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(4096, min(readLength - 1, expected) + 1),
      alignment: 64
    )
    defer { buffer.deallocate() }

    let length = try readFully(file, into: buffer, at: 0)
    if length > 0 { progress?(length) }
    if length < buffer.count {
      return (hash(UnsafeRawBufferPointer(rebasing: buffer[..<length]), mode: mode), UInt64(length))
    }

    var hasher = Hasher(mode: mode)
    hasher.update(UnsafeRawBufferPointer(buffer))
    var size = length
    while true {
      let length = try readFully(file, into: buffer, at: size)
      if length > 0 { progress?(length) }
      hasher.update(UnsafeRawBufferPointer(rebasing: buffer[..<length]))
      size += length
      if length < buffer.count { return (hasher.finalize(), UInt64(size)) }
    }
  }

  /// Reads until the buffer is full or the file ends.
  ///
  /// Corresponds to `pread(2)`.
  package static func readFully(
    _ file: CInt,
    into buffer: UnsafeMutableRawBufferPointer,
    at offset: Int
  ) throws(Errno) -> Int {
    var filled = 0
    while filled < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
      let (position, overflow) = offset.addingReportingOverflow(filled)
      if overflow { throw Errno(EOVERFLOW) }
      let length = try retryingOnInterrupt {
        pread(file, rest.baseAddress, rest.count, off_t(position))
      }
      if length == 0 { break }
      filled += length
    }
    return filled
  }
}
