internal import CBLAKE3

extension BLAKE3 {
  /// Hashes bytes that come piece by piece.
  ///
  /// Pieces may be of any size; from 16 KiB on they are hashed where they stand, without a copy.
  /// What is in memory as a whole is hashed faster by ``BLAKE3/hash(_:mode:)``.
  ///
  /// Memory is 22 KiB, whatever the input's length.
  public struct Hasher: ~Copyable, @unchecked Sendable {
    // Sendable: the storage has this one owner, and what borrows it only reads it.

    private static let bufferLength = 16 * chunkLength
    // 2^64 bytes are 2^47 groups, and each bit of their number has at most one finished subtree.
    private static let stackCapacity = 48

    private let mode: Mode

    // The tree so far, from left to right:
    // - `stack`: finished subtrees of whole groups, one for each bit of `groups`, largest first.
    //   A group is finished only when something follows it, so none of these is ever the root.
    // - `leaves`: the CVs of the last group's chunks, up to all of them.
    // - `buffer`: bytes after these, less than `bufferLength` between updates.
    // A chunk's CV is made when there is more than one chunk: then it is not the root either.
    private let stack: UnsafeMutablePointer<Digest>
    private let leaves: UnsafeMutablePointer<Digest>
    private let buffer: UnsafeMutableRawPointer
    private var groups: UInt64 = 0
    private var leafCount = 0
    private var buffered = 0

    /// Begins a hash.
    public init(mode: Mode = .hash) {
      self.mode = mode
      let digests = Self.stackCapacity + groupChunks
      let storage = UnsafeMutableRawPointer.allocate(
        byteCount: Self.bufferLength + digests * Digest.byteCount,
        alignment: 16
      )
      buffer = storage
      stack = (storage + Self.bufferLength).bindMemory(to: Digest.self, capacity: digests)
      leaves = stack + Self.stackCapacity
    }

    deinit {
      // The start of the one allocation; its digests are trivial.
      buffer.deallocate()
    }

    /// Forgets all bytes: the hasher is as after `init`.
    public mutating func reset() {
      groups = 0
      leafCount = 0
      buffered = 0
    }

    /// Appends bytes to the input.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
      guard var input = bytes.baseAddress else { return }
      var remaining = bytes.count

      while remaining > 0 {
        if buffered == 0 && remaining >= Self.bufferLength {
          let chunks = remaining / chunkLength
          hashLeaves(UnsafeRawPointer(input), chunks: chunks)
          input += chunks * chunkLength
          remaining -= chunks * chunkLength
          continue
        }
        let length = min(remaining, Self.bufferLength - buffered)
        (buffer + buffered).copyMemory(from: input, byteCount: length)
        buffered += length
        input += length
        remaining -= length
        if buffered == Self.bufferLength {
          hashLeaves(UnsafeRawPointer(buffer), chunks: Self.bufferLength / chunkLength)
          buffered = 0
        }
      }
    }

    /// Appends bytes to the input.
    public mutating func update(_ bytes: RawSpan) {
      bytes.withUnsafeBytes { update($0) }
    }

    /// Appends bytes to the input.
    public mutating func update(_ bytes: [UInt8]) {
      bytes.withUnsafeBytes { update($0) }
    }

    /// The digest of all bytes so far. More may follow, and finalizing again is fine.
    public func finalize() -> Digest {
      guard let (left, right) = rootPair() else {
        return BLAKE3.hash(UnsafeRawBufferPointer(start: buffer, count: buffered), mode: mode)
      }
      return parentCV(left, right, isRoot: true, mode: mode)
    }

    /// Writes output of any length, of which the digest is the first 32 bytes.
    ///
    /// - Parameters:
    ///   - output: What is filled.
    ///   - seek: How many bytes of the output to leave out before it; of 2^64 in all.
    public func finalize(into output: UnsafeMutableRawBufferPointer, seek: UInt64 = 0) {
      var root = rootNode()
      var block = InlineArray<64, UInt8>(repeating: 0)
      var index = seek / UInt64(CBLAKE3_BLOCK_BYTES)
      var skipped = Int(seek % UInt64(CBLAKE3_BLOCK_BYTES))
      var written = 0
      while written < output.count {
        cblake3_squeeze(&root, index, &block)
        let length = min(output.count - written, Int(CBLAKE3_BLOCK_BYTES) - skipped)
        withUnsafeBytes(of: block) { block in
          UnsafeMutableRawBufferPointer(rebasing: output[written...])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: block[skipped..<skipped + length]))
        }
        written += length
        skipped = 0
        // Past 2^64 bytes of output it starts over rather than trap.
        index = (index &+ 1) & (UInt64.max / UInt64(CBLAKE3_BLOCK_BYTES))
      }
    }
  }
}

extension BLAKE3.Hasher {
  // Hashes whole chunks, of which these are not all: to leaves, and full groups to subtrees.
  private mutating func hashLeaves(_ input: UnsafeRawPointer, chunks: Int) {
    var key = mode.key
    var (input, remaining) = (input, chunks)
    while remaining > 0 {
      if leafCount == BLAKE3.groupChunks { finishGroup() }
      let count = min(remaining, BLAKE3.groupChunks - leafCount)
      let length = count * BLAKE3.chunkLength
      cblake3_leaves(&key, mode.flags, nextChunk, input, length, leaves + leafCount)
      leafCount += count
      input += length
      remaining -= count
    }
  }

  private var nextChunk: UInt64 {
    groups &* UInt64(BLAKE3.groupChunks) &+ UInt64(leafCount)
  }

  // Merges the leaves of a full group into the stack; something follows them.
  private mutating func finishGroup() {
    var key = mode.key
    cblake3_reduce(&key, mode.flags, leaves, BLAKE3.groupChunks, 1)
    let (cv, depth) = merged(leaves[0])
    stack[depth] = cv
    groups += 1
    leafCount = 0
  }

  // The finished subtree that ends with a next whole group, and how many stay to the left of it.
  private func merged(_ group: BLAKE3.Digest) -> (cv: BLAKE3.Digest, depth: Int) {
    var cv = group
    var depth = groups.nonzeroBitCount
    // As in a binary counter, each trailing one is an equal neighbour to merge with.
    for _ in 0..<(~groups).trailingZeroBitCount {
      depth -= 1
      cv = BLAKE3.parentCV(stack[depth], cv, isRoot: false, mode: mode)
    }
    return (cv, depth)
  }

  // The two subtrees below the root, or nothing if the root is the one chunk in the buffer.
  private func rootPair() -> (BLAKE3.Digest, BLAKE3.Digest)? {
    if groups == 0 && leafCount == 0 && buffered <= BLAKE3.chunkLength { return nil }

    let capacity = BLAKE3.groupChunks + Self.bufferLength / BLAKE3.chunkLength
    return withUnsafeTemporaryAllocation(of: BLAKE3.Digest.self, capacity: capacity) { scratch in
      // Never empty: its capacity is a constant.
      guard let last = scratch.baseAddress else { return nil }
      var key = mode.key
      last.update(from: leaves, count: leafCount)
      var count = leafCount
      if buffered > 0 {
        count += cblake3_leaves(&key, mode.flags, nextChunk, buffer, buffered, last + leafCount)
      }

      var depth = groups.nonzeroBitCount
      var right: BLAKE3.Digest
      if count > BLAKE3.groupChunks {
        // The buffer begins a group of its own, so the one before it is finished after all.
        let next = last + BLAKE3.groupChunks
        cblake3_reduce(&key, mode.flags, last, BLAKE3.groupChunks, 1)
        cblake3_reduce(&key, mode.flags, next, count - BLAKE3.groupChunks, 1)
        let finished = merged(last[0])
        depth = finished.depth
        if depth == 0 { return (finished.cv, next[0]) }
        right = BLAKE3.parentCV(finished.cv, next[0], isRoot: false, mode: mode)
      } else {
        cblake3_reduce(&key, mode.flags, last, count, depth == 0 ? 2 : 1)
        if depth == 0 { return (last[0], last[1]) }
        right = last[0]
      }
      while depth > 1 {
        depth -= 1
        right = BLAKE3.parentCV(stack[depth], right, isRoot: false, mode: mode)
      }
      return (stack[0], right)
    }
  }

  private func rootNode() -> cblake3_node {
    var node = cblake3_node()
    guard let pair = rootPair() else {
      var key = mode.key
      cblake3_chunk_node(&key, mode.flags, 0, buffer, buffered, &node)
      return node
    }
    withUnsafeMutableBytes(of: &node.cv) { cv in
      mode.key.withUnsafeBytes { cv.copyMemory(from: $0) }
    }
    withUnsafeMutableBytes(of: &node.block) { block in
      withUnsafeBytes(of: pair) { block.copyMemory(from: $0) }
    }
    node.length = UInt32(CBLAKE3_BLOCK_BYTES)
    node.flags = mode.flags | CBLAKE3_PARENT
    return node
  }
}
