/// A word of the NAR grammar, in the form in which it is compared: its bytes, padded with zeros to
/// two machine words.
struct NARWord: Sendable {
  let text: String
  private let low, high: UInt64

  private init(_ text: String) {
    self.text = text
    var words: (UInt64, UInt64) = (0, 0)
    withUnsafeMutableBytes(of: &words) { $0.copyBytes(from: text.utf8) }
    (low, high) = words
  }

  /// The longest word, in bytes.
  static let maximumLength = 13

  static let archive = NARWord("nix-archive-1")
  static let open = NARWord("(")
  static let close = NARWord(")")
  static let type = NARWord("type")
  static let regular = NARWord("regular")
  static let executable = NARWord("executable")
  static let empty = NARWord("")
  static let contents = NARWord("contents")
  static let symlink = NARWord("symlink")
  static let target = NARWord("target")
  static let directory = NARWord("directory")
  static let entry = NARWord("entry")
  static let name = NARWord("name")
  static let node = NARWord("node")

  /// Whether a whole token, length and padding included, is this word.
  func matches(_ token: RawSpan) -> Bool {
    let length = text.utf8.count
    guard token.byteCount == 8 + paddedLength(length), token.integer(at: 0) == UInt64(length)
    else { return false }
    return (length == 0 || token.integer(at: 8) == low)
      && (length <= 8 || token.integer(at: 16) == high)
  }

  private func paddedLength(_ length: Int) -> Int { (length + 7) & ~7 }
}

extension RawSpan {
  /// The little-endian number of eight bytes at an offset, which must be in bounds.
  func integer(at offset: Int) -> UInt64 {
    // Any bit pattern is an integer; the bounds are checked.
    UInt64(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  func byte(at offset: Int) -> UInt8 {
    unsafeLoad(fromByteOffset: offset, as: UInt8.self)
  }
}
