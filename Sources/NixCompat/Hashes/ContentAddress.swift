/// What fixes the contents of a store path, when not the derivation that built it does.
public enum ContentAddress: Hashable, Sendable {
  /// A plain file written by the evaluator, by the SHA-256 of its contents.
  case text(SHA256Digest)
  /// A plain file, by the hash of its contents.
  case flat(NixHash)
  /// Any tree, by the hash of its NAR.
  case recursive(NixHash)

  /// The hash, whatever it is of.
  public var hash: NixHash {
    switch self {
    case .text(let digest): NixHash(digest)
    case .flat(let hash), .recursive(let hash): hash
    }
  }
}

/// Why a text is not a content address.
public enum ContentAddressError: Error, Hashable, Sendable {
  /// The text begins neither with `text:` nor with `fixed:`.
  case unknownMethod
  /// Text is addressed by SHA-256 only.
  case textAlgorithm(HashAlgorithm)
  /// The digest is not in nixbase32, as it has to be here.
  case notNixBase32
  /// The hash is malformed.
  case invalidHash(HashParseError)
}

extension ContentAddressError: CustomStringConvertible {
  /// A sentence for the user.
  public var description: String {
    switch self {
    case .unknownMethod:
      "a content address begins with \"text:\" or \"fixed:\""
    case .textAlgorithm(let algorithm):
      "text is addressed by sha256, not \(algorithm.rawValue)"
    case .notNixBase32:
      "the hash of a content address is written in nixbase32"
    case .invalidHash(let error):
      "\(error)"
    }
  }
}

extension ContentAddress {
  /// Parses `text:sha256:<nixbase32>` or `fixed:[r:]<algorithm>:<nixbase32>`.
  public init(parsing text: String) throws(ContentAddressError) {
    try self.init(parsing: text.utf8Span.span)
  }

  init(parsing text: Span<UInt8>) throws(ContentAddressError) {
    if text.hasPrefix("text:") {
      let hash = try Self.hash(text.extracting(droppingFirst: 5))
      guard let digest = hash.sha256 else { throw .textAlgorithm(hash.algorithm) }
      self = .text(digest)
    } else if text.hasPrefix("fixed:r:") {
      self = .recursive(try Self.hash(text.extracting(droppingFirst: 8)))
    } else if text.hasPrefix("fixed:") {
      self = .flat(try Self.hash(text.extracting(droppingFirst: 6)))
    } else {
      throw .unknownMethod
    }
  }

  private static func hash(_ text: Span<UInt8>) throws(ContentAddressError) -> NixHash {
    let hash: NixHash
    do {
      hash = try NixHash(parsing: text, algorithm: nil)
    } catch {
      throw .invalidHash(error)
    }
    // What is parsed must print as the same text again: narinfos are signed and compared.
    guard text.isEqual(to: hash.description) else { throw .notNixBase32 }
    return hash
  }
}

extension ContentAddress: CustomStringConvertible {
  /// The form that narinfos and path infos carry.
  public var description: String {
    switch self {
    case .text(let digest): "text:\(digest)"
    case .flat(let hash): "fixed:\(hash)"
    case .recursive(let hash): "fixed:r:\(hash)"
    }
  }
}
