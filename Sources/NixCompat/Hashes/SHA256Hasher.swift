internal import Crypto

/// Hashes bytes as they come with SHA-256.
///
/// Wraps swift-crypto, whose assembly uses the processor's SHA instructions: measured within a few
/// per cent of OpenSSL, where that instruction sequence, not the code around it, is the limit.
public struct SHA256Hasher: Sendable {
  private var state = SHA256()

  /// How many bytes were hashed so far.
  public private(set) var byteCount: UInt64 = 0

  /// Starts with no bytes.
  public init() {}

  /// Adds bytes.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    state.update(bufferPointer: bytes)
    byteCount += UInt64(bytes.count)
  }

  /// Adds bytes.
  public mutating func update(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { update($0) }
  }

  /// The digest of all bytes so far; more may follow.
  public func finalize() -> SHA256Digest {
    guard let digest = SHA256Digest(Array(state.finalize())) else {
      preconditionFailure("SHA-256 yields 32 bytes")
    }
    return digest
  }

  /// Hashes bytes at once.
  public static func hash(_ bytes: [UInt8]) -> SHA256Digest {
    var hasher = SHA256Hasher()
    hasher.update(bytes)
    return hasher.finalize()
  }

  /// Hashes the UTF-8 of a text at once.
  public static func hash(_ text: String) -> SHA256Digest {
    hash(Array(text.utf8))
  }
}
