public import BLAKE3

/// The name of a blob or directory: the BLAKE3 digest of its bytes, 32 bytes held inline.
public struct B3Digest: Hashable, Sendable, BitwiseCopyable {
  /// The length of a digest in bytes.
  public static let byteCount = 32

  // The digest's bytes in memory order, so that a copy of the value is a copy of the digest.
  package var words: (UInt64, UInt64, UInt64, UInt64)
}
