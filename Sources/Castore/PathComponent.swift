/// One name in a directory: 1 to 255 bytes, any but NUL and `/`, and neither `.` nor `..`.
///
/// Names are bytes: real trees hold names that are not UTF-8.
public struct PathComponent: Hashable, Sendable {
  /// The greatest length of a name, in bytes.
  public static let maximumByteCount = 255

  /// The name's bytes.
  public let bytes: [UInt8]

  /// Checks a name.
  public init(_ bytes: [UInt8]) throws(PathComponentError) {
    if let reason = bytes.withUnsafeBytes({ Self.flaw(in: $0) }) {
      throw PathComponentError(reason, bytes)
    }
    self.bytes = bytes
  }

  /// Checks a name and copies it.
  public init(_ bytes: UnsafeRawBufferPointer) throws(PathComponentError) {
    if let reason = Self.flaw(in: bytes) { throw PathComponentError(reason, bytes) }
    self.bytes = [UInt8](bytes)
  }

  /// Checks a name and copies it.
  public init(_ bytes: RawSpan) throws(PathComponentError) {
    self = try bytes.withUnsafeBytes { (bytes) throws(PathComponentError) in
      try PathComponent(bytes)
    }
  }

  /// Checks a name: the text's UTF-8 form.
  public init(_ text: String) throws(PathComponentError) {
    try self.init([UInt8](text.utf8))
  }

  /// Takes bytes that `flaw(in:)` found nothing wrong with.
  init(checked bytes: UnsafeRawBufferPointer) {
    self.bytes = [UInt8](bytes)
  }

  /// What keeps bytes from being a name; the first that applies, in the order of the cases.
  ///
  /// - Complexity: O(n), no allocation.
  package static func flaw(in bytes: UnsafeRawBufferPointer) -> PathComponentError.Reason? {
    if bytes.isEmpty { return .empty }
    let dot = UInt8(ascii: ".")
    if bytes.count <= 2 && bytes[0] == dot {
      if bytes.count == 1 { return .currentDirectory }
      if bytes[1] == dot { return .parent }
    }
    if bytes.count > maximumByteCount { return .tooLong }
    if bytes.contains(0) { return .null }
    if bytes.contains(UInt8(ascii: "/")) { return .slashes }
    return nil
  }

  /// What stands after the last dot; `nil` without a dot, empty where the dot comes last.
  public var fileExtension: ArraySlice<UInt8>? {
    guard let dot = bytes.lastIndex(of: UInt8(ascii: ".")) else { return nil }
    return bytes[(dot + 1)...]
  }
}

extension PathComponent: Comparable {
  /// Orders names by their bytes, as unsigned numbers.
  public static func < (left: PathComponent, right: PathComponent) -> Bool {
    left.bytes.precedes(right.bytes)
  }
}

extension PathComponent: CustomStringConvertible {
  /// The name, with control characters and bytes that are not UTF-8 escaped. Not reversible.
  public var description: String { escaped(bytes) }
}

/// Why bytes are not a name.
public struct PathComponentError: Error, Hashable, Sendable {
  /// The reasons, in the order in which they are looked for.
  public enum Reason: Hashable, Sendable {
    /// No bytes at all.
    case empty
    /// `..`, which stands for another directory.
    case parent
    /// `.`, which stands for the directory itself.
    case currentDirectory
    /// More than 255 bytes.
    case tooLong
    /// A NUL byte.
    case null
    /// A slash.
    case slashes
  }

  /// What is wrong.
  public var reason: Reason
  /// The offending bytes; at most the first 4,096.
  public var bytes: [UInt8]

  package init(_ reason: Reason, _ bytes: some Collection<UInt8>) {
    self.reason = reason
    self.bytes = [UInt8](bytes.prefix(4096))
  }
}

extension PathComponentError: CustomStringConvertible {
  /// One sentence for a person.
  public var description: String {
    let name = "\"\(escaped(bytes.prefix(300)))\""
    return switch reason {
    case .empty: "a name must not be empty"
    case .parent: "\"..\" is not a name"
    case .currentDirectory: "\".\" is not a name"
    case .tooLong: "the name \(name)… is longer than 255 bytes"
    case .null: "the name \(name) holds a NUL byte"
    case .slashes: "the name \(name) holds a slash"
    }
  }
}
