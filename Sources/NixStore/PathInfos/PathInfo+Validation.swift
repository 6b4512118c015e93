internal import Castore
internal import NixCompat

extension PathInfo {
  /// Checks the fields of a message, and throws the first flaw in the order of `PathInfoError`.
  public init(validating message: PathInfoMessage) throws(PathInfoError) {
    guard let nar = message.narInfo else { throw .narInfoMissing }
    let references = try Self.references(message.references, nar.referenceNames)
    guard let encodedNode = message.node else { throw .nodeMissing }
    let (storePath, node) = try Self.node(encodedNode)
    guard let narHash = SHA256Digest(nar.narSHA256) else {
      throw .invalidNARHashLength(nar.narSHA256.count)
    }
    let deriver = try nar.deriver.map { (field) throws(PathInfoError) in try Self.deriver(field) }
    var signatures: [NixSignature] = []
    for (index, field) in nar.signatures.enumerated() {
      do throws(SigningError) {
        signatures.append(try NixSignature(keyName: field.name, bytes: field.bytes))
      } catch {
        throw .invalidSignature(index: index, error)
      }
    }
    self.init(
      storePath: storePath,
      node: node,
      references: references,
      narSize: nar.narSize,
      narHash: narHash,
      signatures: signatures,
      deriver: deriver,
      contentAddress: try nar.contentAddress.map { (field) throws(PathInfoError) in
        try ContentAddress(field)
      }
    )
  }

  private static func references(
    _ digests: [[UInt8]],
    _ names: [String]
  ) throws(PathInfoError) -> [StorePath] {
    var expected: [StorePathDigest] = []
    for (index, bytes) in digests.enumerated() {
      guard let digest = StorePathDigest(bytes) else {
        throw .invalidReferenceDigestLength(index: index, count: bytes.count)
      }
      expected.append(digest)
    }
    guard expected.count == names.count else {
      throw .inconsistentNumberOfReferences(digests: expected.count, names: names.count)
    }
    var references: [StorePath] = []
    for (index, name) in names.enumerated() {
      let path: StorePath
      do throws(StorePathError) {
        path = try StorePath(baseName: name)
      } catch {
        throw .invalidReferenceName(index: index, name: name, error)
      }
      guard path.digest == expected[index] else {
        throw .inconsistentReferenceDigest(
          index: index,
          expected: expected[index],
          got: path.digest
        )
      }
      references.append(path)
    }
    return references
  }

  private static func node(
    _ bytes: [UInt8]
  ) throws(PathInfoError) -> (StorePath, Node) {
    let (name, node): ([UInt8], Node)
    do throws(DirectoryError) {
      (name, node) = try Node.decode(bytes.span.bytes)
    } catch {
      throw .invalidNode(error)
    }
    do throws(StorePathError) {
      return (try StorePath(baseName: name), node)
    } catch {
      throw .invalidNodeName(name, error)
    }
  }

  private static func deriver(
    _ field: PathInfoMessage.NamedBytes
  ) throws(PathInfoError) -> StorePath {
    guard let digest = StorePathDigest(field.bytes) else {
      throw .invalidDeriver(.invalidLength(field.bytes.count))
    }
    do throws(StorePathError) {
      return try StorePath(digest: digest, name: field.name)
    } catch {
      throw .invalidDeriver(error)
    }
  }
}

extension ContentAddress {
  /// The kinds, each at the place of its number in the enumeration `Hash` of the protocol.
  private enum Kind: UInt64 {
    case narSHA256, narSHA1, narSHA512, narMD5, textSHA256, flatSHA1, flatMD5, flatSHA256
    case flatSHA512

    var algorithm: HashAlgorithm {
      switch self {
      case .narSHA256, .textSHA256, .flatSHA256: .sha256
      case .narSHA1, .flatSHA1: .sha1
      case .narSHA512, .flatSHA512: .sha512
      case .narMD5, .flatMD5: .md5
      }
    }
  }

  /// Checks a `CA` message.
  init(_ field: PathInfoMessage.Address) throws(PathInfoError) {
    guard let kind = Kind(rawValue: field.kind) else {
      throw .unknownContentAddressKind(field.kind)
    }
    guard let hash = NixHash(kind.algorithm, field.digest) else {
      throw .invalidContentAddressLength(field.digest.count)
    }
    switch kind {
    case .narSHA256, .narSHA1, .narSHA512, .narMD5: self = .recursive(hash)
    case .flatSHA256, .flatSHA1, .flatSHA512, .flatMD5: self = .flat(hash)
    case .textSHA256:
      guard let digest = hash.sha256 else { preconditionFailure("the kind has this algorithm") }
      self = .text(digest)
    }
  }

  /// The fields of the `CA` message.
  var message: PathInfoMessage.Address {
    let kind: Kind =
      switch self {
      case .text: .textSHA256
      case .recursive(let hash):
        switch hash.algorithm {
        case .sha256: .narSHA256
        case .sha1: .narSHA1
        case .sha512: .narSHA512
        case .md5: .narMD5
        }
      case .flat(let hash):
        switch hash.algorithm {
        case .sha256: .flatSHA256
        case .sha1: .flatSHA1
        case .sha512: .flatSHA512
        case .md5: .flatMD5
        }
      }
    return PathInfoMessage.Address(kind: kind.rawValue, digest: hash.bytes)
  }
}

extension PathInfoMessage {
  /// The fields of a path info, which pass every check.
  public init(_ info: PathInfo) {
    node = info.node.encoded(name: [UInt8](info.storePath.baseName.utf8))
    references = info.references.map(\.digest.bytes)
    var nar = NARFields()
    nar.narSize = info.narSize
    nar.narSHA256 = info.narHash.bytes
    nar.signatures = info.signatures.map { NamedBytes(name: $0.keyName, bytes: $0.bytes) }
    nar.referenceNames = info.references.map(\.baseName)
    nar.deriver = info.deriver.map { NamedBytes(name: $0.name, bytes: $0.digest.bytes) }
    nar.contentAddress = info.contentAddress?.message
    narInfo = nar
  }
}
