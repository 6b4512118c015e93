/// The hash functions that Nix knows.
public enum HashAlgorithm: String, CaseIterable, Hashable, Sendable {
  case md5
  case sha1
  case sha256
  case sha512

  /// The length of a digest in bytes.
  public var digestLength: Int {
    switch self {
    case .md5: 16
    case .sha1: 20
    case .sha256: 32
    case .sha512: 64
    }
  }
}
