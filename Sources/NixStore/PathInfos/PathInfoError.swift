public import Castore
public import NixCompat

/// Why a message is not a path info. The checks are made in the order of the cases, after `malformed`.
public enum PathInfoError: Error, Sendable {
  /// The bytes are not what encoding a path info gives.
  case malformed(WireError)
  /// A text in the message is not UTF-8; the field that holds it.
  case notUTF8(field: String)
  /// Nothing is said about the NAR.
  case narInfoMissing
  /// The digest of a reference does not have 20 bytes.
  case invalidReferenceDigestLength(index: Int, count: Int)
  /// There are more digests of references than names of them, or fewer.
  case inconsistentNumberOfReferences(digests: Int, names: Int)
  /// The name of a reference is not that of a store path.
  case invalidReferenceName(index: Int, name: String, StorePathError)
  /// The name of a reference has another digest than the one at its place.
  case inconsistentReferenceDigest(index: Int, expected: StorePathDigest, got: StorePathDigest)
  /// No node is set.
  case nodeMissing
  /// The node is invalid.
  case invalidNode(DirectoryError)
  /// The node's name is not that of a store path.
  case invalidNodeName([UInt8], StorePathError)
  /// The SHA-256 of the NAR does not have 32 bytes.
  case invalidNARHashLength(Int)
  /// The deriver is not a store path.
  case invalidDeriver(StorePathError)
  /// A signature does not have 64 bytes, or its key cannot have that name.
  case invalidSignature(index: Int, SigningError)
  /// No content address is of that kind.
  case unknownContentAddressKind(UInt64)
  /// The digest of the content address does not have the length of its kind.
  case invalidContentAddressLength(Int)
}

extension PathInfoError: CustomStringConvertible {
  /// One sentence for a person.
  public var description: String {
    switch self {
    case .malformed(let error): "\(error)"
    case .notUTF8(let field): "the field \(field) is not UTF-8"
    case .narInfoMissing: "the field narinfo is missing"
    case .invalidReferenceDigestLength(let index, let count):
      "the digest of reference \(index) has \(count) bytes, not 20"
    case .inconsistentNumberOfReferences(let digests, let names):
      "there are \(digests) references, but \(names) names of references"
    case .invalidReferenceName(let index, let name, let error):
      "the name \"\(escaped(name))\" of reference \(index): \(error)"
    case .inconsistentReferenceDigest(let index, let expected, let got):
      "the name of reference \(index) has the digest \(got), but \(expected) is given"
    case .nodeMissing: "the field node is missing"
    case .invalidNode(let error): "the node: \(error)"
    case .invalidNodeName(let name, let error): "the name \"\(escaped(name))\": \(error)"
    case .invalidNARHashLength(let count): "the SHA-256 of the NAR has \(count) bytes, not 32"
    case .invalidDeriver(let error): "the deriver: \(error)"
    case .invalidSignature(let index, let error): "signature \(index): \(error)"
    case .unknownContentAddressKind(let kind): "there is no content address of kind \(kind)"
    case .invalidContentAddressLength(let count):
      "the digest of the content address has \(count) bytes, which is not the length of its kind"
    }
  }
}
