/// Why a text is not a hash.
public enum HashParseError: Error, Hashable, Sendable {
  /// The text begins with an algorithm that Nix does not know.
  case unknownAlgorithm(String)
  /// The text is a digest alone and nobody said which algorithm it is of.
  case missingAlgorithm
  /// The text names another algorithm than the caller.
  case conflictingAlgorithms(expected: HashAlgorithm, found: HashAlgorithm)
  /// No encoding of the algorithm's digest has this many characters.
  case invalidLength(HashAlgorithm, Int)
  /// The digest does not decode.
  case invalidDigest(HashAlgorithm, TextEncodingError)
}

extension HashParseError: CustomStringConvertible {
  /// A sentence for the user.
  public var description: String {
    switch self {
    case .unknownAlgorithm(let name):
      "\(quoted(name.utf8)) is not a hash algorithm (md5, sha1, sha256, sha512)"
    case .missingAlgorithm:
      "the hash does not say its algorithm"
    case .conflictingAlgorithms(let expected, let found):
      "the hash is one of \(found.rawValue), but \(expected.rawValue) is wanted"
    case .invalidLength(let algorithm, let count):
      "no \(algorithm.rawValue) digest is written in \(count) characters"
    case .invalidDigest(let algorithm, let error):
      "the \(algorithm.rawValue) digest is malformed: \(error)"
    }
  }
}

extension NixHash {
  /// Parses any form in which hashes appear.
  ///
  /// - `sha256-<base64>`: subresource integrity. Any amount of padding will do, and what follows
  ///   a space is ignored.
  /// - `sha256:<digest>` with a digest in hexadecimal, nixbase32 or padded base64; its length tells
  ///   which.
  /// - A digest alone, in the same encodings, when `algorithm` is given.
  ///
  /// - Parameter algorithm: The algorithm that the hash must have, `nil` if the text is to say it.
  public init(
    parsing text: String,
    algorithm expected: HashAlgorithm? = nil
  ) throws(HashParseError) {
    try self.init(parsing: text.utf8Span.span, algorithm: expected)
  }

  init(
    parsing text: Span<UInt8>,
    algorithm expected: HashAlgorithm?
  ) throws(HashParseError) {
    guard let separator = Self.separator(in: text) else {
      guard let expected else { throw .missingAlgorithm }
      try self.init(expected, digest: text)
      return
    }
    let name = text.extracting(..<separator)
    guard let algorithm = HashAlgorithm.allCases.first(where: { name.isEqual(to: $0.rawValue) })
    else { throw .unknownAlgorithm(name.printable) }
    if let expected, expected != algorithm {
      throw .conflictingAlgorithms(expected: expected, found: algorithm)
    }
    let rest = text.extracting((separator + 1)...)
    if text[separator] == UInt8(ascii: "-") {
      try self.init(algorithm, sriDigest: rest)
    } else {
      try self.init(algorithm, digest: rest)
    }
  }

  /// Where the algorithm's name ends; neither `:` nor `-` occurs in any encoding of a digest.
  private static func separator(in text: Span<UInt8>) -> Int? {
    for index in text.indices
    where text[index] == UInt8(ascii: ":") || text[index] == UInt8(ascii: "-") {
      return index
    }
    return nil
  }

  /// A digest without algorithm; the lengths of the encodings differ for every algorithm.
  private init(_ algorithm: HashAlgorithm, digest text: Span<UInt8>) throws(HashParseError) {
    let length = algorithm.digestLength
    let bytes: [UInt8]
    do throws(TextEncodingError) {
      switch text.count {
      case length * 2: bytes = try Hexadecimal.decode(text)
      case NixBase32.encodedLength(length): bytes = try NixBase32.decode(text)
      case Base64.paddedLength(length): bytes = try Base64.decode(text)
      default: throw .invalidLength(text.count)
      }
    } catch .invalidLength {
      throw .invalidLength(algorithm, text.count)
    } catch {
      throw .invalidDigest(algorithm, error)
    }
    try self.init(algorithm, decoded: bytes, characters: text.count)
  }

  private init(_ algorithm: HashAlgorithm, sriDigest text: Span<UInt8>) throws(HashParseError) {
    let text = text.extracting(..<(text.firstIndex(of: UInt8(ascii: " ")) ?? text.count))
    let bytes: [UInt8]
    do throws(TextEncodingError) {
      bytes = try Base64.decodeIgnoringPadding(text)
    } catch .invalidLength {
      throw .invalidLength(algorithm, text.count)
    } catch {
      throw .invalidDigest(algorithm, error)
    }
    try self.init(algorithm, decoded: bytes, characters: text.count)
  }

  private init(
    _ algorithm: HashAlgorithm,
    decoded bytes: [UInt8],
    characters: Int
  ) throws(HashParseError) {
    guard let hash = NixHash(algorithm, bytes) else {
      throw .invalidLength(algorithm, characters)
    }
    self = hash
  }
}
