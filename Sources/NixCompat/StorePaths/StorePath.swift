/// A path directly below `/nix/store`: a digest and a name.
public struct StorePath: Hashable, Sendable {
  /// The directory that all store paths stand in.
  public static let storeDirectory = "/nix/store"
  /// The longest name in bytes.
  public static let maximumNameLength = 211

  /// The hash part.
  public let digest: StorePathDigest
  /// The name: 1 to 211 of the characters `A-Z a-z 0-9 + - _ ? = .`.
  public let name: String

  /// Puts a path together.
  ///
  /// - Throws: `invalidLength` or `invalidName`.
  public init(digest: StorePathDigest, name: String) throws(StorePathError) {
    self.digest = digest
    self.name = try Self.validName(name.utf8Span.span)
  }

  /// Parses `<32 characters of hash>-<name>`.
  ///
  /// Errors come in this order: the whole is too short, the hash, the dash, the name's length, the
  /// name's characters.
  public init(baseName text: Span<UInt8>) throws(StorePathError) {
    let hashCount = StorePathDigest.textCount
    guard text.count >= hashCount + 2 else { throw .invalidLength(text.count) }
    do {
      digest = try StorePathDigest(nixBase32: text.extracting(..<hashCount))
    } catch {
      throw .invalidHashEncoding(error)
    }
    guard text[hashCount] == UInt8(ascii: "-") else { throw .missingDash }
    name = try Self.validName(text.extracting((hashCount + 1)...))
  }

  /// Parses `<32 characters of hash>-<name>`.
  public init(baseName text: String) throws(StorePathError) {
    try self.init(baseName: text.utf8Span.span)
  }

  /// Parses `<32 characters of hash>-<name>`.
  public init(baseName bytes: [UInt8]) throws(StorePathError) {
    try self.init(baseName: bytes.span)
  }

  /// Parses a path below `/nix/store` that ends with the store path itself.
  public init(absolutePath text: Span<UInt8>) throws(StorePathError) {
    try self.init(baseName: text.extracting(Self.rangeInStore(of: text)))
  }

  /// Parses a path below `/nix/store` that ends with the store path itself.
  public init(absolutePath text: String) throws(StorePathError) {
    try self.init(absolutePath: text.utf8Span.span)
  }

  /// Splits a path at or below a store path.
  ///
  /// - Returns: The store path, and what follows it, without slashes at either end. Paths below a
  ///   store path are bytes: any file name may come.
  public static func splitting(
    absolutePath path: [UInt8]
  ) throws(StorePathError) -> (StorePath, remainder: [UInt8]) {
    let inStore = path[try rangeInStore(of: path.span)]
    let slash = UInt8(ascii: "/")
    let end = inStore.firstIndex(of: slash) ?? inStore.endIndex
    let storePath = try StorePath(baseName: Array(inStore[..<end]))
    var remainder = inStore[end...].drop { $0 == slash }
    while remainder.last == slash { remainder.removeLast() }
    return (storePath, Array(remainder))
  }

  /// `<hash>-<name>`.
  public var baseName: String { "\(digest.nixBase32)-\(name)" }

  /// The whole path, with `/nix/store` in front.
  public var absolutePath: String { "\(Self.storeDirectory)/\(baseName)" }

  /// What stands behind `/nix/store/`.
  private static func rangeInStore(of path: Span<UInt8>) throws(StorePathError) -> Range<Int> {
    guard path.hasPrefix(storeDirectory + "/") else { throw .missingStoreDirectory }
    return (storeDirectory.utf8.count + 1)..<path.count
  }

  static func validName(_ name: Span<UInt8>) throws(StorePathError) -> String {
    guard 1...maximumNameLength ~= name.count else { throw .invalidLength(name.count) }
    for index in name.indices where !isAllowedInName(name[index]) {
      throw .invalidName(name.array, position: index)
    }
    return name.printable
  }

  private static func isAllowedInName(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"),
      UInt8(ascii: "_"), UInt8(ascii: "?"), UInt8(ascii: "="), UInt8(ascii: "."):
      true
    default:
      false
    }
  }
}

extension StorePath: Comparable {
  /// Orders as the base names do.
  public static func < (left: StorePath, right: StorePath) -> Bool {
    if left.digest != right.digest { return left.digest < right.digest }
    return left.name.utf8.lexicographicallyPrecedes(right.name.utf8)
  }
}

extension StorePath: CustomStringConvertible {
  /// The base name.
  public var description: String { baseName }
}
