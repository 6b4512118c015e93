/// The 32 bytes that name a record, held inline.
///
/// Ordered as bytes are, from the first on. For what is looked up in tables the bytes are a digest, so
/// that they are spread evenly: the searches guess by it, and stay correct where it is not so.
package struct PackKey: Sendable, BitwiseCopyable {
  /// The length of a key in bytes.
  package static let byteCount = 32

  /// The bytes in memory order: a copy of the words is a copy of the bytes.
  package var words: (UInt64, UInt64, UInt64, UInt64)

  /// Takes a key from words that hold its bytes in memory order.
  @inlinable
  package init(words: (UInt64, UInt64, UInt64, UInt64)) {
    self.words = words
  }

  /// The first eight bytes as a number that is ordered as the keys are.
  @inlinable
  package var prefix: UInt64 { UInt64(bigEndian: words.0) }
}

extension PackKey: Hashable, Comparable {
  @inlinable
  package static func == (left: Self, right: Self) -> Bool {
    left.words == right.words
  }

  @inlinable
  package static func < (left: Self, right: Self) -> Bool {
    if left.words.0 != right.words.0 { return left.prefix < right.prefix }
    if left.words.1 != right.words.1 { return left.words.1.byteSwapped < right.words.1.byteSwapped }
    if left.words.2 != right.words.2 { return left.words.2.byteSwapped < right.words.2.byteSwapped }
    return left.words.3.byteSwapped < right.words.3.byteSwapped
  }

  @inlinable
  package func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.1)
    hasher.combine(words.2)
    hasher.combine(words.3)
  }
}

extension PackKey: CustomStringConvertible {
  /// The bytes as 64 lower-case hexadecimal digits.
  package var description: String {
    var text = ""
    for word in [words.0, words.1, words.2, words.3] {
      text += Hexadecimal.digits(of: UInt64(bigEndian: word))
    }
    return text
  }
}
