public import Castore
public import NixCompat

/// What a store knows about one store path: its tree, and what Nix needs to trust and use it.
///
/// A valid one always: everything in it was checked when it was made.
public struct PathInfo: Hashable, Sendable {
  /// The path.
  public let storePath: StorePath
  /// The tree that stands there.
  public let node: Node
  /// The store paths that the tree refers to, in the order in which they are published and signed.
  public let references: [StorePath]
  /// How many bytes the NAR of the tree has.
  public let narSize: UInt64
  /// The SHA-256 of the NAR.
  public let narHash: SHA256Digest
  /// Who vouches for it.
  public var signatures: [NixSignature]
  /// The derivation that built it; its name without `.drv`.
  public let deriver: StorePath?
  /// What fixes the contents, where it is not the derivation.
  public let contentAddress: ContentAddress?

  /// Puts a path info together. Whether the NAR's size and hash are those of the tree is the caller's
  /// word.
  public init(
    storePath: StorePath,
    node: Node,
    references: [StorePath] = [],
    narSize: UInt64,
    narHash: SHA256Digest,
    signatures: [NixSignature] = [],
    deriver: StorePath? = nil,
    contentAddress: ContentAddress? = nil
  ) {
    self.storePath = storePath
    self.node = node
    self.references = references
    self.narSize = narSize
    self.narHash = narHash
    self.signatures = signatures
    self.deriver = deriver
    self.contentAddress = contentAddress
  }

  /// What signatures are made of.
  public var fingerprint: String {
    NARInfo.fingerprint(
      of: storePath,
      narHash: narHash,
      narSize: narSize,
      references: references
    )
  }
}
