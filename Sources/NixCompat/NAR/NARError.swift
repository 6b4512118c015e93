/// Why a NAR cannot be read or written, and at which of its bytes.
public struct NARError: Error, Sendable {
  /// What is wrong; callers branch on it.
  public let code: Code
  /// How many bytes of the NAR come before the place of the error.
  public let offset: UInt64
  /// What the byte source or sink threw.
  public let cause: (any Error)?

  package init(_ code: Code, offset: UInt64, cause: (any Error)? = nil) {
    self.code = code
    self.offset = offset
    self.cause = cause
  }

  /// What is wrong with a NAR.
  public enum Code: Hashable, Sendable {
    /// The bytes end before the NAR does.
    case unexpectedEnd
    /// Another word stands where the grammar wants this one.
    case unexpectedWord(expected: String, found: [UInt8])
    /// A string longer than the longest that may stand here.
    case stringTooLong(expected: String, length: UInt64)
    /// The bytes that fill up to a multiple of eight are not zero.
    case nonzeroPadding
    /// A name that is empty, `.`, `..`, over 255 bytes, or holds a slash or a zero byte.
    case invalidName([UInt8])
    /// A name that does not come after the one before it in the same directory.
    case namesOutOfOrder(previous: [UInt8], name: [UInt8])
    /// A symlink target that is empty, over 4095 bytes, or holds a zero byte.
    case invalidTarget([UInt8])
    /// Directories nest deeper than allowed.
    case tooDeep(limit: Int)
    /// Bytes follow the end of the NAR.
    case trailingData
    /// An event was written where the tree does not allow it.
    case eventOutOfPlace(String)
    /// Fewer contents were written than the file's stated size; this many are missing.
    case contentsTooShort(missing: UInt64)
    /// More contents were written than the file's stated size.
    case contentsTooLong
    /// The byte source failed; see `cause`.
    case sourceFailed
    /// The byte sink failed; see `cause`.
    case sinkFailed
  }
}

extension NARError: CustomStringConvertible {
  /// A sentence for the user.
  public var description: String {
    let sentence = "NAR: \(code) at byte \(offset)"
    return cause.map { "\(sentence): \($0)" } ?? sentence
  }
}

extension NARError.Code: CustomStringConvertible {
  /// What is wrong, without the place.
  public var description: String {
    switch self {
    case .unexpectedEnd: "unexpected end"
    case .unexpectedWord(let expected, let found): "expected \(expected), found \(quoted(found))"
    case .stringTooLong(let expected, let length):
      "expected \(expected), found a string of \(length) bytes"
    case .nonzeroPadding: "padding that is not zero"
    case .invalidName(let name): "invalid name \(quoted(name))"
    case .namesOutOfOrder(let previous, let name):
      "name \(quoted(name)) must not come after \(quoted(previous))"
    case .invalidTarget(let target): "invalid symlink target \(quoted(target))"
    case .tooDeep(let limit): "directories nested deeper than \(limit)"
    case .trailingData: "data after the end"
    case .eventOutOfPlace(let event): "\(event) is not allowed here"
    case .contentsTooShort(let missing): "\(missing) bytes of file contents are missing"
    case .contentsTooLong: "more file contents than the stated size"
    case .sourceFailed: "reading failed"
    case .sinkFailed: "writing failed"
    }
  }
}
