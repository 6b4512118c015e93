extension ContentAddress {
  /// Parses the two fields with which derivations and JSON name a fixed output.
  ///
  /// - Parameters:
  ///   - hash: The digest in hexadecimal, nixbase32, base64 or the integrity form.
  ///   - hashAlgorithm: `[r:]<algorithm>`; the prefix tells that the hash is of a NAR. `text:` as
  ///     the prefix tells that it is of a text.
  public init(hash: String, hashAlgorithm: String) throws(ContentAddressError) {
    let isRecursive = hashAlgorithm.hasPrefix("r:")
    let isText = hashAlgorithm.hasPrefix("text:")
    let name = String(hashAlgorithm.dropFirst(isRecursive ? 2 : isText ? 5 : 0))
    guard let algorithm = HashAlgorithm(rawValue: name) else {
      throw .invalidHash(.unknownAlgorithm(name))
    }
    let parsed: NixHash
    do {
      parsed = try NixHash(parsing: hash, algorithm: algorithm)
    } catch {
      throw .invalidHash(error)
    }
    if isText {
      guard let digest = parsed.sha256 else { throw .textAlgorithm(algorithm) }
      self = .text(digest)
    } else {
      self = isRecursive ? .recursive(parsed) : .flat(parsed)
    }
  }

  /// The second of the two fields, `[r:]<algorithm>`.
  public var hashAlgorithmField: String {
    switch self {
    case .text: "text:sha256"
    case .flat(let hash): hash.algorithm.rawValue
    case .recursive(let hash): "r:\(hash.algorithm.rawValue)"
    }
  }
}
