/// A digest together with the function that made it.
public struct NixHash: Hashable, Sendable {
  /// The function.
  public let algorithm: HashAlgorithm
  /// The digest; its length is the algorithm's.
  public let bytes: [UInt8]

  /// Takes a digest.
  ///
  /// - Returns: `nil` if the length is not the algorithm's.
  public init?(_ algorithm: HashAlgorithm, _ bytes: [UInt8]) {
    guard bytes.count == algorithm.digestLength else { return nil }
    self.algorithm = algorithm
    self.bytes = bytes
  }

  /// Takes a SHA-256 digest.
  public init(_ digest: SHA256Digest) {
    algorithm = .sha256
    bytes = digest.bytes
  }

  /// The digest, if it is one of SHA-256.
  public var sha256: SHA256Digest? {
    algorithm == .sha256 ? SHA256Digest(bytes) : nil
  }

  /// The digest in hexadecimal, lower case, without the algorithm.
  public var hexadecimal: String { Hexadecimal.encode(bytes.span) }

  /// The digest in nixbase32, without the algorithm.
  public var nixBase32: String { NixBase32.encode(bytes) }

  /// The digest in padded base64, without the algorithm.
  public var base64: String { Base64.encode(bytes.span) }

  /// The subresource integrity form, for example `sha256-…=`.
  public var sri: String { "\(algorithm.rawValue)-\(base64)" }
}

extension NixHash: CustomStringConvertible {
  /// As Nix prints it: the algorithm, a colon, nixbase32.
  public var description: String { "\(algorithm.rawValue):\(nixBase32)" }
}
