/// What a binary cache says about a store path: the contents of a `.narinfo` file.
public struct NARInfo: Hashable, Sendable {
  /// The path.
  public let storePath: StorePath
  /// Where the NAR is, relative to the cache's own address.
  public let url: String
  /// How the NAR is compressed, `nil` if it is not.
  public let compression: String?
  /// The hash of the compressed file.
  public let fileHash: SHA256Digest?
  /// The length of the compressed file.
  public let fileSize: UInt64?
  /// The hash of the NAR.
  public let narHash: SHA256Digest
  /// The length of the NAR.
  public let narSize: UInt64
  /// The paths that the contents refer to, in the order of the file.
  public let references: [StorePath]
  /// The derivation that built the path; its name is without `.drv`.
  public let deriver: StorePath?
  /// The system that the path was built for.
  public let system: String?
  /// Signatures of the fingerprint.
  public var signatures: [NixSignature]
  /// What fixes the contents, if the path is addressed by them.
  public let contentAddress: ContentAddress?
  /// What is unusual about the file; makes it print as it was read.
  public let flags: Flags

  /// What is unusual about a narinfo file.
  public struct Flags: OptionSet, Hashable, Sendable {
    /// The bits.
    public let rawValue: UInt8

    /// Takes bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A field that is not known was left out.
    public static let unknownField = Flags(rawValue: 1 << 0)
    /// No compression is named; bzip2 is meant.
    public static let compressionDefault = Flags(rawValue: 1 << 1)
    /// The NAR's hash is in hexadecimal.
    public static let narHashHexadecimal = Flags(rawValue: 1 << 2)
    /// The references are not in ascending order.
    public static let referencesOutOfOrder = Flags(rawValue: 1 << 3)
    /// There is no line of references at all.
    public static let referencesMissing = Flags(rawValue: 1 << 4)
    /// The deriver is given as `unknown-deriver`.
    public static let unknownDeriver = Flags(rawValue: 1 << 5)
  }

  /// Puts a narinfo together.
  ///
  /// - Throws: `emptyField` or `invalidLine` if a text is empty or does not fit on one line.
  public init(
    storePath: StorePath,
    url: String,
    compression: String? = nil,
    fileHash: SHA256Digest? = nil,
    fileSize: UInt64? = nil,
    narHash: SHA256Digest,
    narSize: UInt64,
    references: [StorePath] = [],
    deriver: StorePath? = nil,
    system: String? = nil,
    signatures: [NixSignature] = [],
    contentAddress: ContentAddress? = nil,
    flags: Flags = []
  ) throws(NARInfoError) {
    let texts: [(NARInfoField, String?)] = [
      (.url, url), (.compression, compression), (.system, system),
    ]
    for case (let field, let text?) in texts {
      guard !text.isEmpty else { throw NARInfoError(.emptyField(field)) }
      guard !text.utf8.contains(UInt8(ascii: "\n")) else { throw NARInfoError(.invalidLine) }
    }
    self.storePath = storePath
    self.url = url
    self.compression = compression == "none" ? nil : compression
    self.fileHash = fileHash
    self.fileSize = fileSize
    self.narHash = narHash
    self.narSize = narSize
    self.references = references
    self.deriver = deriver
    self.system = system
    self.signatures = signatures
    self.contentAddress = contentAddress
    self.flags = flags
  }
}

// MARK: - Signatures

extension NARInfo {
  /// What signatures are made of: the path, the NAR's hash and size, and the references.
  public var fingerprint: String {
    Self.fingerprint(of: storePath, narHash: narHash, narSize: narSize, references: references)
  }

  /// What signatures are made of.
  ///
  /// - Parameter references: In the order in which they are published.
  public static func fingerprint(
    of storePath: StorePath,
    narHash: SHA256Digest,
    narSize: UInt64,
    references: some Sequence<StorePath>
  ) -> String {
    let paths = references.map(\.absolutePath).joined(separator: ",")
    return "1;\(storePath.absolutePath);\(narHash);\(narSize);\(paths)"
  }

  /// Whether one of the signatures is a valid one of one of the keys.
  public func isSigned(byOneOf keys: some Sequence<NixPublicKey>) -> Bool {
    let message = Array(fingerprint.utf8)
    return keys.contains { key in signatures.contains { key.isValid($0, of: message) } }
  }

  /// Adds the key's signature.
  public mutating func sign(with key: NixSecretKey) throws(SigningError) {
    signatures.append(try key.sign(fingerprint))
  }
}
