/// Where a symbolic link points: 1 to 4,095 bytes, any but NUL.
public struct SymlinkTarget: Hashable, Sendable {
  /// The greatest length of a target, in bytes.
  public static let maximumByteCount = 4095

  /// The target's bytes.
  public let bytes: [UInt8]

  /// Checks a target.
  public init(_ bytes: [UInt8]) throws(SymlinkTargetError) {
    if let reason = bytes.withUnsafeBytes({ Self.flaw(in: $0) }) {
      throw SymlinkTargetError(reason, bytes)
    }
    self.bytes = bytes
  }

  /// Checks a target and copies it.
  public init(_ bytes: UnsafeRawBufferPointer) throws(SymlinkTargetError) {
    if let reason = Self.flaw(in: bytes) { throw SymlinkTargetError(reason, bytes) }
    self.bytes = [UInt8](bytes)
  }

  /// Checks a target and copies it.
  public init(_ bytes: RawSpan) throws(SymlinkTargetError) {
    self = try bytes.withUnsafeBytes { (bytes) throws(SymlinkTargetError) in
      try SymlinkTarget(bytes)
    }
  }

  /// Checks a target: the text's UTF-8 form.
  public init(_ text: String) throws(SymlinkTargetError) {
    try self.init([UInt8](text.utf8))
  }

  /// Takes bytes that `flaw(in:)` found nothing wrong with.
  init(checked bytes: UnsafeRawBufferPointer) {
    self.bytes = [UInt8](bytes)
  }

  /// What keeps bytes from being a target; the first that applies, in the order of the cases.
  package static func flaw(in bytes: UnsafeRawBufferPointer) -> SymlinkTargetError.Reason? {
    if bytes.isEmpty { return .empty }
    if bytes.count > maximumByteCount { return .tooLong }
    if bytes.contains(0) { return .null }
    return nil
  }
}

extension SymlinkTarget: CustomStringConvertible {
  /// The target, with control characters and bytes that are not UTF-8 escaped. Not reversible.
  public var description: String { escaped(bytes) }
}

/// Why bytes are not the target of a symbolic link.
public struct SymlinkTargetError: Error, Hashable, Sendable {
  /// The reasons, in the order in which they are looked for.
  public enum Reason: Hashable, Sendable {
    /// No bytes at all.
    case empty
    /// More than 4,095 bytes.
    case tooLong
    /// A NUL byte.
    case null
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

extension SymlinkTargetError: CustomStringConvertible {
  /// One sentence for a person.
  public var description: String {
    let target = "\"\(escaped(bytes.prefix(300)))\""
    return switch reason {
    case .empty: "the target of a symbolic link must not be empty"
    case .tooLong: "the link target \(target)… is longer than 4,095 bytes"
    case .null: "the link target \(target) holds a NUL byte"
    }
  }
}
