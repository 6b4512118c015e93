/// Why something is not a store path, or no store path can be computed.
public enum StorePathError: Error, Hashable, Sendable {
  /// Too short to hold a hash, a dash and a name; or the name is empty or over 211 bytes.
  case invalidLength(Int)
  /// The hash part is not nixbase32.
  case invalidHashEncoding(TextEncodingError)
  /// No dash follows the hash part.
  case missingDash
  /// The name holds a byte that names may not hold, and its position in the name.
  case invalidName([UInt8], position: Int)
  /// The path is not below `/nix/store`.
  case missingStoreDirectory
  /// The path goes on after the store path, where only a store path may stand.
  case unexpectedRemainder
  /// This kind of content address allows no references, or none to itself.
  case referencesNotAllowed
}

extension StorePathError: CustomStringConvertible {
  /// A sentence for the user.
  public var description: String {
    switch self {
    case .invalidLength(let count):
      "a store path name has a hash of 32 characters, a dash and 1 to 211 bytes, not \(count) bytes"
    case .invalidHashEncoding(let error):
      "the hash of the store path is malformed: \(error)"
    case .missingDash:
      "a dash must follow the hash of a store path"
    case .invalidName(let name, let position):
      "the name \(quoted(name)) of a store path has an illegal byte at position \(position)"
    case .missingStoreDirectory:
      "the path is not in \(StorePath.storeDirectory)"
    case .unexpectedRemainder:
      "the path goes on after the store path"
    case .referencesNotAllowed:
      "a path with this content address cannot have these references"
    }
  }
}
