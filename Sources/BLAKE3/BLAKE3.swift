internal import CBLAKE3

/// The BLAKE3 hash function: whole inputs, pieces of them, streams and files.
///
/// The result never depends on the machine, only the speed does: the widest instructions are
/// picked at run time. Everything may be called on any number of threads at once.
public enum BLAKE3 {
  /// The length of a chunk, the leaf of the hash tree, in bytes.
  public static let chunkLength = Int(CBLAKE3_CHUNK_BYTES)

  // What the kernels hash in one call: large enough that nearly all parents are hashed many at a
  // time, small enough that the CVs fit the stack.
  static let groupChunks = Int(CBLAKE3_GROUP_CHUNKS)
  static let groupLength = Int(CBLAKE3_GROUP_CHUNKS) * Int(CBLAKE3_CHUNK_BYTES)

  /// Hashes bytes that are all in memory, on the calling thread.
  ///
  /// - Complexity: O(bytes); nothing is allocated.
  public static func hash(_ bytes: UnsafeRawBufferPointer, mode: Mode = .hash) -> Digest {
    var key = mode.key
    if bytes.count <= chunkLength {
      var root = Digest.zero
      cblake3_hash_chunk(
        &key,
        mode.flags | CBLAKE3_ROOT,
        0,
        bytes.baseAddress,
        bytes.count,
        &root
      )
      return root
    }
    if bytes.count <= groupLength {
      var pair = (Digest.zero, Digest.zero)
      cblake3_subtree(&key, mode.flags, 0, bytes.baseAddress, bytes.count, 2, &pair)
      return parentCV(pair.0, pair.1, isRoot: true, mode: mode)
    }
    let leftLength = leftLength(of: bytes.count)
    return parentCV(
      subtreeCV(UnsafeRawBufferPointer(rebasing: bytes[..<leftLength]), chunk: 0, mode: mode),
      subtreeCV(
        UnsafeRawBufferPointer(rebasing: bytes[leftLength...]),
        chunk: UInt64(leftLength / chunkLength),
        mode: mode
      ),
      isRoot: true,
      mode: mode
    )
  }

  /// Hashes bytes that are all in memory, on the calling thread.
  ///
  /// - Complexity: O(bytes); nothing is allocated.
  public static func hash(_ bytes: RawSpan, mode: Mode = .hash) -> Digest {
    bytes.withUnsafeBytes { hash($0, mode: mode) }
  }

  /// Hashes bytes that are all in memory, on the calling thread.
  ///
  /// - Complexity: O(bytes); nothing is allocated.
  public static func hash(_ bytes: [UInt8], mode: Mode = .hash) -> Digest {
    bytes.withUnsafeBytes { hash($0, mode: mode) }
  }

  // How much of more than one chunk goes to the left of the root: the largest power of two chunks
  // that leaves something for the right.
  static func leftLength(of count: Int) -> Int {
    let chunks = (count - 1) / chunkLength
    return chunkLength << (Int.bitWidth - 1 - chunks.leadingZeroBitCount)
  }
}
