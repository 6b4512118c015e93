extension StorePath {
  /// Computes where contents with this address are kept.
  ///
  /// - Parameters:
  ///   - name: The name of the path.
  ///   - address: What fixes the contents.
  ///   - references: The other store paths that the contents refer to, in any order.
  ///   - refersToItself: Whether the contents refer to the path being computed. Their hash is then
  ///     one with the path's own hash blotted out.
  /// - Throws: `referencesNotAllowed` for a text that refers to itself, and for any reference of
  ///   what is neither text nor a NAR by SHA-256; errors of the name.
  public init(
    name: String,
    address: ContentAddress,
    references: some Sequence<StorePath> = [],
    refersToItself: Bool = false
  ) throws(StorePathError) {
    let references = Set(references).sorted()
    switch address {
    case .text(let digest):
      guard !refersToItself else { throw .referencesNotAllowed }
      try self.init(kind: Self.kind("text", references, false), inner: digest, name: name)
    case .recursive(let hash) where hash.algorithm == .sha256:
      guard let digest = hash.sha256 else { preconditionFailure("the algorithm was just compared") }
      let kind = Self.kind("source", references, refersToItself)
      try self.init(kind: kind, inner: digest, name: name)
    case .recursive(let hash):
      try self.init(fixed: "r:", hash, references.isEmpty && !refersToItself, name)
    case .flat(let hash):
      try self.init(fixed: "", hash, references.isEmpty && !refersToItself, name)
    }
  }

  /// Computes where a text that the evaluator writes is kept.
  public init(
    name: String,
    text: [UInt8],
    references: some Sequence<StorePath> = []
  ) throws(StorePathError) {
    try self.init(name: name, address: .text(SHA256Hasher.hash(text)), references: references)
  }

  /// Computes where a tree is kept, from the SHA-256 of its NAR; what `nix-store --add` does.
  public init(
    name: String,
    sourceNARDigest digest: SHA256Digest,
    references: some Sequence<StorePath> = [],
    refersToItself: Bool = false
  ) throws(StorePathError) {
    try self.init(
      name: name,
      address: .recursive(NixHash(digest)),
      references: references,
      refersToItself: refersToItself
    )
  }

  /// Computes where an output of an input-addressed derivation is kept.
  ///
  /// - Parameters:
  ///   - derivationName: The derivation's name, without `.drv`.
  ///   - output: The output's name; `out` leaves no trace in the path's name.
  ///   - digest: The derivation's hash modulo fixed-output derivations.
  public init(
    derivationName: String,
    output: String,
    digest: SHA256Digest
  ) throws(StorePathError) {
    let name = output == "out" ? derivationName : "\(derivationName)-\(output)"
    try self.init(kind: "output:\(output)", inner: digest, name: name)
  }

  /// What stands for an output's path in a derivation that does not know it yet.
  public static func placeholder(forOutput output: String) -> String {
    "/" + SHA256Hasher.hash("nix-output:\(output)").nixBase32
  }

  private init(
    fixed method: String,
    _ hash: NixHash,
    _ isWithoutReferences: Bool,
    _ name: String
  ) throws(StorePathError) {
    guard isWithoutReferences else { throw .referencesNotAllowed }
    let description = "fixed:out:\(method)\(hash.algorithm.rawValue):\(hash.hexadecimal):"
    try self.init(kind: "output:out", inner: SHA256Hasher.hash(description), name: name)
  }

  private init(kind: String, inner: SHA256Digest, name: String) throws(StorePathError) {
    let fingerprint = "\(kind):sha256:\(inner.hexadecimal):\(Self.storeDirectory):\(name)"
    let hash = SHA256Hasher.hash(fingerprint)
    try self.init(digest: StorePathDigest(compressing: hash.bytes), name: name)
  }

  private static func kind(
    _ base: String,
    _ references: [StorePath],
    _ refersToItself: Bool
  ) -> String {
    references.reduce(into: base) { $0 += ":" + $1.absolutePath } + (refersToItself ? ":self" : "")
  }
}
