internal import Crypto

/// Hashes bytes as they come with any function that Nix knows.
///
/// For SHA-256 alone, `SHA256Hasher` spares the choice.
public struct NixHasher: Sendable {
  private let algorithm: HashAlgorithm
  private var function: any HashFunction & Sendable

  /// Starts with no bytes.
  public init(_ algorithm: HashAlgorithm) {
    self.algorithm = algorithm
    function =
      switch algorithm {
      case .md5: Insecure.MD5()
      case .sha1: Insecure.SHA1()
      case .sha256: SHA256()
      case .sha512: SHA512()
      }
  }

  /// Adds bytes.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    function.update(bufferPointer: bytes)
  }

  /// Adds bytes.
  public mutating func update(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { update($0) }
  }

  /// The digest of all bytes so far; more may follow.
  public func finalize() -> NixHash {
    guard let hash = NixHash(algorithm, function.digestBytes) else {
      preconditionFailure("a digest has its algorithm's length")
    }
    return hash
  }

  /// Hashes bytes at once.
  public static func hash(_ bytes: [UInt8], with algorithm: HashAlgorithm) -> NixHash {
    var hasher = NixHasher(algorithm)
    hasher.update(bytes)
    return hasher.finalize()
  }
}

extension HashFunction {
  fileprivate var digestBytes: [UInt8] { Array(finalize()) }
}
