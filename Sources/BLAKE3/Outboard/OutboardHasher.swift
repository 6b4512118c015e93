internal import CBLAKE3

extension BLAKE3 {
  /// Hashes bytes that come piece by piece and keeps the outboard.
  ///
  /// As fast as ``Hasher`` within a few percent. Pieces may be of any size; from 16 KiB on, most are
  /// hashed where they stand. Memory is 16 KiB and 32 to 64 bytes for each 16 KiB of the input.
  public struct OutboardHasher: ~Copyable, @unchecked Sendable {
    // Sendable: the memory has this one owner, and what borrows it only reads it.

    private static let maximumGroups = BLAKE3.groupLength / Outboard.groupLength

    private let mode: Mode
    private var values: GroupValues
    // Bytes after the groups in `values`. A group is finished only when something follows it, or
    // something precedes it: so none of them is the root.
    private let buffer = GroupBuffer()
    private var buffered = 0
    private var size: UInt64 = 0

    /// Begins a hash.
    public init(mode: Mode = .hash) {
      self.mode = mode
      guard let values = GroupValues(capacity: 64) else {
        preconditionFailure("out of memory for the hashes of 64 groups")
      }
      self.values = values
    }

    /// Appends bytes to the input.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
      guard var input = bytes.baseAddress else { return }
      var remaining = bytes.count
      size &+= UInt64(remaining)
      while remaining > 0 {
        if buffered == 0 {
          let whole = (values.count > 0 ? remaining : remaining - 1) / Outboard.groupLength
          if whole > 0 {
            let groups = min(whole, Self.maximumGroups)
            finish(UnsafeRawPointer(input), length: groups * Outboard.groupLength)
            input += groups * Outboard.groupLength
            remaining -= groups * Outboard.groupLength
            continue
          }
        }
        let length = min(remaining, Outboard.groupLength - buffered)
        (buffer.memory + buffered).copyMemory(from: input, byteCount: length)
        buffered += length
        input += length
        remaining -= length
        if buffered == Outboard.groupLength && (values.count > 0 || remaining > 0) {
          finish(UnsafeRawPointer(buffer.memory), length: buffered)
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

    /// Ends the input.
    ///
    /// - Returns: The digest, the size and the outboard.
    /// - Complexity: O(groups), in place.
    public consuming func finalize() -> Outboard {
      if values.count == 0 {
        let bytes = UnsafeRawBufferPointer(start: buffer.memory, count: buffered)
        return Outboard(
          digest: BLAKE3.hash(bytes, mode: mode),
          size: size,
          adopting: nil,
          byteCount: 0
        )
      }
      if buffered > 0 { finish(UnsafeRawPointer(buffer.memory), length: buffered) }
      return values.outboard(size: size, mode: mode)
    }

    // Hashes groups, of which only the input's last may be short.
    private mutating func finish(_ input: UnsafeRawPointer, length: Int) {
      var key = mode.key
      let flags = mode.flags
      let chunk = UInt64(values.count) &* Outboard.groupChunks
      let groups = (length - 1) / Outboard.groupLength + 1
      values.append(groups) { output in
        cblake3_subtree(&key, flags, chunk, input, length, groups, output)
      }
    }
  }
}

// The memory of one group, apart from the hasher: what has a `deinit` cannot be taken apart.
private struct GroupBuffer: ~Copyable {
  let memory = UnsafeMutableRawPointer.allocate(
    byteCount: BLAKE3.Outboard.groupLength,
    alignment: 16
  )

  deinit {
    memory.deallocate()
  }
}
