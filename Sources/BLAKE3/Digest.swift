extension BLAKE3 {
  /// The 32 bytes that BLAKE3 gives by default, or a chaining value of its tree, held inline.
  public struct Digest: Sendable, BitwiseCopyable {
    /// The length of a digest in bytes.
    public static let byteCount = 32

    // The bytes in memory order: a copy of the words is a copy of the bytes.
    package var words: (UInt64, UInt64, UInt64, UInt64)

    static let zero = Digest(words: (0, 0, 0, 0))

    package init(words: (UInt64, UInt64, UInt64, UInt64)) {
      self.words = words
    }

    /// Takes a digest from its bytes, or nothing if there are not exactly 32.
    public init?(_ bytes: UnsafeRawBufferPointer) {
      guard bytes.count == Self.byteCount else { return nil }
      words = bytes.loadUnaligned(as: (UInt64, UInt64, UInt64, UInt64).self)
    }

    /// Takes a digest from its bytes, or nothing if there are not exactly 32.
    public init?(_ bytes: RawSpan) {
      guard bytes.byteCount == Self.byteCount else { return nil }
      self = bytes.withUnsafeBytes {
        Digest(words: $0.loadUnaligned(as: (UInt64, UInt64, UInt64, UInt64).self))
      }
    }

    /// Takes a digest from its bytes, or nothing if there are not exactly 32.
    public init?(_ bytes: [UInt8]) {
      guard bytes.count == Self.byteCount else { return nil }
      self = bytes.withUnsafeBytes {
        Digest(words: $0.loadUnaligned(as: (UInt64, UInt64, UInt64, UInt64).self))
      }
    }

    /// Calls `body` with the 32 bytes, which are valid only until it returns.
    public func withUnsafeBytes<Result, Failure: Error>(
      _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
      try Swift.withUnsafeBytes(of: words, body)
    }

    /// The 32 bytes in an array.
    public var bytes: [UInt8] {
      withUnsafeBytes { [UInt8]($0) }
    }

    /// The bytes as 64 lower-case hexadecimal digits.
    public var hex: String {
      String(unsafeUninitializedCapacity: 2 * Self.byteCount) { text in
        withUnsafeBytes { bytes in
          for (index, byte) in bytes.enumerated() {
            text[2 * index] = Self.hexDigit(byte >> 4)
            text[2 * index + 1] = Self.hexDigit(byte & 15)
          }
        }
        return 2 * Self.byteCount
      }
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 {
      value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") - 10 + value
    }
  }
}

extension BLAKE3.Digest: Hashable {
  /// Whether two digests have the same bytes.
  public static func == (left: Self, right: Self) -> Bool {
    left.words == right.words
  }

  /// Feeds all bytes: whoever chooses inputs may choose many leading bytes of a digest too.
  public func hash(into hasher: inout Swift.Hasher) {
    withUnsafeBytes { hasher.combine(bytes: $0) }
  }
}

extension BLAKE3.Digest: CustomStringConvertible {
  /// The bytes as 64 lower-case hexadecimal digits.
  public var description: String { hex }
}
