/// The names of files in a binary cache.
public enum BinaryCacheName: Hashable, Sendable {
  /// `<52 characters of nixbase32>.nar<suffix>`; the suffix tells the compression, for example
  /// `.xz`, and is empty for none.
  case nar(SHA256Digest, suffix: String)
  /// `<32 characters of nixbase32>.narinfo`.
  case narInfo(StorePathDigest)
  /// `<32 characters of nixbase32>.ls`.
  case listing(StorePathDigest)

  /// Parses a name, which comes without the folder it stands in.
  ///
  /// - Returns: `nil` if it is none of these, or holds anything but ASCII.
  public init?(parsing text: String) {
    let bytes = text.utf8Span.span
    guard bytes.indices.allSatisfy({ bytes[$0] < 0x80 && bytes[$0] != UInt8(ascii: "/") }),
      let dot = bytes.firstIndex(of: UInt8(ascii: "."))
    else { return nil }
    let stem = bytes.extracting(..<dot)
    let rest = bytes.extracting(dot...)
    if rest.isEqual(to: ".narinfo"), let digest = try? StorePathDigest(nixBase32: stem) {
      self = .narInfo(digest)
    } else if rest.isEqual(to: ".ls"), let digest = try? StorePathDigest(nixBase32: stem) {
      self = .listing(digest)
    } else if rest.hasPrefix(".nar"), rest.count == 4 || rest[4] == UInt8(ascii: "."),
      let digest = try? SHA256Digest(nixBase32: stem)
    {
      self = .nar(digest, suffix: rest.extracting(droppingFirst: 4).printable)
    } else {
      return nil
    }
  }
}

extension BinaryCacheName: CustomStringConvertible {
  /// The name.
  public var description: String {
    switch self {
    case .nar(let digest, let suffix): "\(digest.nixBase32).nar\(suffix)"
    case .narInfo(let digest): "\(digest).narinfo"
    case .listing(let digest): "\(digest).ls"
    }
  }
}
