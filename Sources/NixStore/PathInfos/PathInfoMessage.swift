/// The fields of a protobuf message `PathInfo` as they came, before anybody checked them.
///
/// Whoever decodes messages (from a store's table, from gRPC) fills this and hands it to
/// `PathInfo.init(validating:)`, so that the rules stand in one place.
public struct PathInfoMessage: Hashable, Sendable {
  /// The encoded `Node` message (`Entry` in newer protocol files); `nil` where the field is not set.
  public var node: [UInt8]?
  /// The digests of the references.
  public var references: [[UInt8]] = []
  /// What concerns the NAR; `nil` where the field is not set.
  public var narInfo: NARFields?

  /// The fields of a message `NARInfo`.
  public struct NARFields: Hashable, Sendable {
    /// How many bytes the NAR has.
    public var narSize: UInt64 = 0
    /// The SHA-256 of the NAR.
    public var narSHA256: [UInt8] = []
    /// Keys' names and their signatures.
    public var signatures: [NamedBytes] = []
    /// The base names of the references.
    public var referenceNames: [String] = []
    /// The deriver: its name without `.drv`, and its digest.
    public var deriver: NamedBytes?
    /// What fixes the contents.
    public var contentAddress: Address?

    /// No field set.
    public init() {}
  }

  /// A name with bytes: a `Signature` or a `StorePath` message.
  public struct NamedBytes: Hashable, Sendable {
    /// The name.
    public var name: String
    /// The signature or digest.
    public var bytes: [UInt8]

    /// Joins a name and bytes.
    public init(name: String, bytes: [UInt8]) {
      self.name = name
      self.bytes = bytes
    }
  }

  /// A `CA` message.
  public struct Address: Hashable, Sendable {
    /// The number of the kind, in the enumeration `Hash`.
    public var kind: UInt64
    /// The digest.
    public var digest: [UInt8]

    /// Joins a kind and a digest.
    public init(kind: UInt64, digest: [UInt8]) {
      self.kind = kind
      self.digest = digest
    }
  }

  /// No field set.
  public init() {}
}
