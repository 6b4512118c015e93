/// Lists of paths in files.
enum PathList {
  /// Reads a list; `-` is standard input.
  ///
  /// Each path is ended by NUL if there is one in the list, otherwise by a newline; what stands behind the last
  /// counts, too.
  static func read(_ file: String) throws -> [[UInt8]] {
    let bytes = try readAll(of: file, limit: 1 << 30)
    let end: UInt8 = bytes.contains(0) ? 0 : UInt8(ascii: "\n")
    return bytes.split(separator: end).map { [UInt8]($0) }
  }
}
