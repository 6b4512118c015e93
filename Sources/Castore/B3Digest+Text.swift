extension B3Digest {
  /// How a digest is written.
  public enum TextStyle: Hashable, Sendable, CaseIterable {
    /// `b3:` and padded base64; ours, and Tvix's.
    case b3
    /// `blake3-` and padded base64; Snix's.
    case blake3
    /// 64 lower-case hexadecimal digits; object keys and file names.
    case hex
  }

  /// Writes the digest.
  public func formatted(_ style: TextStyle = .b3) -> String {
    withUnsafeBytes { bytes in
      switch style {
      case .b3: "b3:" + Base64.encode(bytes)
      case .blake3: "blake3-" + Base64.encode(bytes)
      case .hex: Hex.encode(bytes)
      }
    }
  }

  /// Reads a digest in any of the styles that `formatted(_:)` writes; hexadecimal digits of either case.
  ///
  /// Strict: the padding must be there, the unused bits of the last character zero.
  public init(text: String) throws(B3DigestError) {
    let bytes: [UInt8]
    if let rest = text.withoutPrefix("b3:") ?? text.withoutPrefix("blake3-") {
      guard rest.utf8.count == 44, let decoded = Base64.decode(rest.utf8) else {
        throw .invalidBase64(text)
      }
      bytes = decoded
    } else if text.utf8.count == 64 {
      guard let decoded = Hex.decode(text.utf8) else { throw .invalidHex(text) }
      bytes = decoded
    } else {
      throw .unknownForm(text)
    }
    try self.init(bytes: bytes)
  }
}

extension B3Digest: CustomStringConvertible {
  /// The digest in the style `b3`.
  public var description: String { formatted() }
}

extension String {
  // Compares code units: `hasPrefix` would compare characters and drag in normalisation.
  fileprivate func withoutPrefix(_ prefix: String) -> Substring? {
    utf8.starts(with: prefix.utf8) ? Substring(utf8.dropFirst(prefix.utf8.count)) : nil
  }
}
