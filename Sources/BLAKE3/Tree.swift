internal import CBLAKE3

// The hash tree piece by piece: for parallel hashing, and for checking a blob's ranges against
// the nodes above them.
extension BLAKE3 {
  /// Hashes one subtree of an input's tree to its chaining value; never the root.
  ///
  /// - Parameters:
  ///   - bytes: The subtree's bytes: a power of two chunks, or what is left at the input's end.
  ///   - chunk: The number of the first of its chunks in the input, a multiple of that power.
  ///   - mode: The mode of the whole input.
  /// - Complexity: O(bytes); nothing is allocated.
  public static func subtreeCV(
    _ bytes: UnsafeRawBufferPointer,
    chunk: UInt64,
    mode: Mode = .hash
  ) -> Digest {
    var key = mode.key
    var cv = Digest.zero
    if bytes.count <= chunkLength {
      cblake3_hash_chunk(&key, mode.flags, chunk, bytes.baseAddress, bytes.count, &cv)
      return cv
    }
    if bytes.count <= groupLength {
      cblake3_subtree(&key, mode.flags, chunk, bytes.baseAddress, bytes.count, 1, &cv)
      return cv
    }
    // Halves each time: at most 47 calls deep.
    let leftLength = leftLength(of: bytes.count)
    return parentCV(
      subtreeCV(UnsafeRawBufferPointer(rebasing: bytes[..<leftLength]), chunk: chunk, mode: mode),
      subtreeCV(
        UnsafeRawBufferPointer(rebasing: bytes[leftLength...]),
        chunk: chunk &+ UInt64(leftLength / chunkLength),
        mode: mode
      ),
      isRoot: false,
      mode: mode
    )
  }

  /// Hashes the chaining values of two subtrees to that of their parent, or to the root's digest.
  public static func parentCV(
    _ left: Digest,
    _ right: Digest,
    isRoot: Bool,
    mode: Mode = .hash
  ) -> Digest {
    var key = mode.key
    var (left, right) = (left, right)
    var cv = Digest.zero
    cblake3_hash_parent(&key, mode.flags | (isRoot ? CBLAKE3_ROOT : 0), &left, &right, &cv)
    return cv
  }

  /// Hashes consecutive runs of chunks to a chaining value each, side by side.
  ///
  /// What an outboard holds for the lowest nodes that it keeps; faster than asking for each alone.
  ///
  /// - Parameters:
  ///   - bytes: The bytes; all but the last of an input's calls take a multiple of `runLength`.
  ///   - runLength: The length of a run in bytes: a power of two, from 1 KiB to 128 KiB.
  ///   - chunk: The number of the first chunk in the input, a multiple of a run's chunks.
  ///   - mode: The mode of the whole input.
  ///   - cvs: Where the values are appended, one for each begun run.
  public static func appendRunCVs(
    of bytes: UnsafeRawBufferPointer,
    runLength: Int,
    chunk: UInt64,
    mode: Mode = .hash,
    to cvs: inout [Digest]
  ) {
    precondition(
      runLength >= chunkLength && runLength <= groupLength && runLength.nonzeroBitCount == 1,
      "a run is a power of two chunks, at most 128"
    )
    var key = mode.key
    var offset = 0
    while offset < bytes.count {
      let length = min(groupLength, bytes.count - offset)
      let runs = (length - 1) / runLength + 1
      let first = cvs.count
      cvs.append(contentsOf: repeatElement(.zero, count: runs))
      let written = cvs.withUnsafeMutableBytes { cvs in
        // Levels are whole, so stopping at `runs` values stops at the runs' level or, if all
        // bytes are less than one run, at its only value.
        cblake3_subtree(
          &key,
          mode.flags,
          chunk &+ UInt64(offset / chunkLength),
          bytes.baseAddress.map { $0 + offset },
          length,
          runs,
          cvs.baseAddress.map { $0 + first * Digest.byteCount }
        )
      }
      precondition(written == runs, "the kernels write one value for each run")
      offset += length
    }
  }

  /// Hashes the chaining values of equal subtrees, of which the last may be short, to the root.
  ///
  /// - Parameter cvs: At least two values, of a power of two chunks each.
  /// - Complexity: O(count), in place.
  public static func root(of cvs: consuming [Digest], mode: Mode = .hash) -> Digest {
    precondition(cvs.count >= 2, "the root is a parent of at least two subtrees")
    reduce(&cvs, to: 2, mode: mode)
    return parentCV(cvs[0], cvs[1], isRoot: true, mode: mode)
  }

  /// Merges neighbours level by level until at most `limit` values are left.
  static func reduce(_ cvs: inout [Digest], to limit: Int, mode: Mode) {
    var key = mode.key
    let count = cvs.withUnsafeMutableBytes { bytes in
      cblake3_reduce(
        &key,
        mode.flags,
        bytes.baseAddress,
        bytes.count / Digest.byteCount,
        max(limit, 1)
      )
    }
    cvs.removeSubrange(count...)
  }
}
