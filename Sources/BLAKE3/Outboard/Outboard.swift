internal import Glibc

extension BLAKE3 {
  /// The part of an input's hash tree that lets any 16 KiB of it be checked alone.
  ///
  /// Layout: the parents above groups of 16 KiB in pre-order (a parent, all of its left subtree, all
  /// of its right one), each as the 64 bytes of its children's chaining values; no length in front.
  /// An input of up to one group has no parents, so an empty outboard. It is what bao-tree calls a
  /// pre-order outboard with groups of 2^4 chunks, and iroh keeps in `.obao4` files.
  ///
  /// Nothing in it needs to be trusted: ``OutboardVerifier`` checks it against the root digest.
  public struct Outboard: ~Copyable, @unchecked Sendable {
    // Sendable: the memory has this one owner and is never written after `init`.

    /// How many bytes of the input each of the lowest values covers; the last may cover fewer.
    public static let groupLength = 16 * 1024

    static let groupChunks = UInt64(groupLength / BLAKE3.chunkLength)
    static let parentLength = 2 * Digest.byteCount

    /// The digest of the input.
    public let digest: Digest
    /// The length of the input in bytes.
    public let size: UInt64
    /// The length of the outboard in bytes.
    public let byteCount: Int

    private let memory: UnsafeMutableRawPointer?

    // Takes over memory that came from `malloc`.
    init(digest: Digest, size: UInt64, adopting memory: UnsafeMutableRawPointer?, byteCount: Int) {
      self.digest = digest
      self.size = size
      self.memory = memory
      self.byteCount = byteCount
    }

    deinit {
      free(memory)
    }

    /// Calls `body` with the outboard's bytes, which are valid only until it returns.
    public borrowing func withUnsafeBytes<Result: ~Copyable, Failure: Error>(
      _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
      try body(UnsafeRawBufferPointer(start: memory, count: byteCount))
    }

    /// The outboard's bytes in an array.
    public var bytes: [UInt8] {
      withUnsafeBytes { [UInt8]($0) }
    }

    /// How long the outboard of an input is: 64 bytes for each group but the first.
    public static func byteCount(forSize size: UInt64) -> UInt64 {
      // At most 2^50 groups: no overflow.
      (groupCount(forSize: size) - 1) * UInt64(parentLength)
    }

    // An empty input is one (empty) group, as it is one chunk.
    static func groupCount(forSize size: UInt64) -> UInt64 {
      max(1, size / UInt64(groupLength) + (size % UInt64(groupLength) == 0 ? 0 : 1))
    }

    // How many of more than one group go to the left: the largest power of two that leaves some.
    static func leftCount(of count: Int) -> Int {
      1 << (Int.bitWidth - 1 - (count - 1).leadingZeroBitCount)
    }
  }
}
