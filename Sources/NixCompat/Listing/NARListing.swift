/// What is in a NAR and where its files begin: the contents of a `.ls` file.
///
/// A flat list, in the order of the NAR, rather than a tree: however deep directories nest, neither
/// building nor reading nor freeing it takes stack.
public struct NARListing: Hashable, Sendable {
  /// A step through the tree.
  public struct Item: Hashable, Sendable {
    /// The step.
    public let event: NAREvent
    /// Where in the NAR the contents of a file begin, if that is known.
    public let narOffset: UInt64?
  }

  /// The items.
  public private(set) var items: [Item] = []
  private var grammar: NARGrammar

  /// Starts empty.
  public init(maximumDepth: Int = NARLimits.defaultMaximumDepth) {
    grammar = NARGrammar(maximumDepth: maximumDepth)
  }

  /// Whether the tree is whole.
  public var isComplete: Bool { grammar.isComplete }

  /// Adds the next event.
  ///
  /// - Parameters:
  ///   - event: What comes next; checked as a NAR writer does.
  ///   - narOffset: For a file, where its contents begin: the reader's or writer's `offset` right
  ///     after the event.
  /// - Throws: `malformedTree`.
  public mutating func append(
    _ event: NAREvent,
    narOffset: UInt64? = nil
  ) throws(NARListingError) {
    do {
      try grammar.accept(event)
    } catch {
      throw .malformedTree(error)
    }
    items.append(Item(event: event, narOffset: narOffset))
  }

  /// Reads a whole NAR, skipping the contents of files.
  public init<Source: ByteSource & ~Copyable>(
    reading reader: inout NARReader<Source>
  ) throws {
    self.init()
    while let event = try reader.next() {
      if case .file = event {
        try append(event, narOffset: reader.offset)
      } else {
        try append(event)
      }
    }
  }

  /// Compares the items: how they came about does not matter.
  public static func == (left: NARListing, right: NARListing) -> Bool {
    left.items == right.items
  }

  /// Hashes the items.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(items)
  }
}

/// Why there is no listing.
public enum NARListingError: Error, Hashable, Sendable {
  /// A name or target is not UTF-8, which JSON requires.
  case notUTF8([UInt8])
  /// The tree breaks a rule of NARs.
  case malformedTree(NARError.Code)
  /// The text is not JSON, from this byte on.
  case invalidJSON(offset: Int)
  /// The JSON is not that of a listing: what was expected, and before which byte.
  case unexpected(String, offset: Int)
  /// The listing is of a version that is not known.
  case unsupportedVersion(UInt64)
}

extension NARListingError: CustomStringConvertible {
  /// A sentence for the user.
  public var description: String {
    switch self {
    case .notUTF8(let bytes): "NAR listing: \(quoted(bytes)) is not UTF-8"
    case .malformedTree(let code): "NAR listing: \(code)"
    case .invalidJSON(let offset): "NAR listing: malformed JSON at byte \(offset)"
    case .unexpected(let expected, let offset): "NAR listing: \(expected) at byte \(offset)"
    case .unsupportedVersion(let version): "NAR listing: unknown version \(version)"
    }
  }
}
