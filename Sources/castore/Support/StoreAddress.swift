import Castore
import CastoreComposition

/// Addresses of stores as people write them.
enum StoreAddress {
  /// The URL that is meant: a path without a scheme is that of a local store.
  static func url(_ text: String) -> String {
    guard !text.isEmpty, !hasScheme(text) else { return text }
    // Two slashes would begin the name of a host.
    var path = text[...]
    while path.hasPrefix("//") { path.removeFirst() }
    return "local:" + path
  }

  /// A path with the home folder in place of a `~` at its beginning, as shells write it: they leave it alone
  /// within a word.
  static func expandingHome(_ path: String) throws(ServiceError) -> String {
    guard path.utf8.first == UInt8(ascii: "~") else { return path }
    let rest = path.dropFirst()
    guard rest.isEmpty || rest.utf8.first == UInt8(ascii: "/") else {
      throw ServiceError(
        .invalidArgument,
        "'\(path)': of the folders of users only one's own, ~/, is known; "
          + "write ./\(path) for a folder of that name"
      )
    }
    guard let home = environment("HOME"), home.hasPrefix("/") else {
      throw ServiceError(.invalidArgument, "'\(path)': HOME is not set")
    }
    return home + rest
  }

  // RFC 3986: a letter, then letters, digits and + - .
  private static func hasScheme(_ text: String) -> Bool {
    guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { return false }
    let scheme = text.utf8[..<colon]
    func isLetter(_ byte: UInt8) -> Bool {
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }
    guard let first = scheme.first, isLetter(first) else { return false }
    return scheme.allSatisfy { byte in
      isLetter(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        || [UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ".")].contains(byte)
    }
  }
}
