/// Why entries, or bytes, are not a directory or a node.
public enum DirectoryError: Error, Hashable, Sendable {
  /// A name stands there twice.
  case duplicateName([UInt8])
  /// A name does not follow the one before it in its list.
  case wrongSorting([UInt8])
  /// A name breaks the rules for names.
  case invalidName(PathComponentError)
  /// What a name stands for breaks the rules.
  case invalidNode(name: [UInt8], NodeError)
  /// The number of entries and the sizes of the child directories add up to more than 64 bits hold.
  case sizeOverflow
  /// A node that must not have a name has one.
  case nameInAnonymousNode([UInt8])
  /// A node message that holds no node.
  case noNodeSet
  /// The bytes are not what encoding a directory or node gives.
  case malformed(WireError)
}

/// Why a message does not hold a node.
public enum NodeError: Error, Hashable, Sendable {
  /// A digest has 32 bytes; this one has that many.
  case invalidDigestLength(Int)
  /// The target of a symbolic link breaks the rules.
  case invalidSymlinkTarget(SymlinkTargetError)
}

/// Why bytes are not the canonical encoding of a message, and at which byte that shows.
public struct WireError: Error, Hashable, Sendable {
  /// What is wrong.
  public enum Reason: Hashable, Sendable {
    /// The bytes end inside a field, or a length reaches past the end.
    case truncated
    /// A number of more than 64 bits.
    case numberTooLarge
    /// A number that could be written with fewer bytes.
    case numberNotMinimal
    /// A field that the message does not have, or has with another type.
    case unknownField(UInt64)
    /// A field that comes after one with a greater number.
    case fieldOutOfOrder(UInt64)
    /// A field that may stand there once, standing there again.
    case repeatedField(UInt64)
    /// A field that says what its absence says already.
    case explicitDefault(UInt64)
    /// A truth value other than 0 and 1.
    case invalidBool
    /// A message of 4 GiB or more.
    case messageTooLarge
  }

  /// What is wrong.
  public var reason: Reason
  /// Where, in bytes from the start of the message.
  public var offset: Int

  package init(_ reason: Reason, at offset: Int) {
    self.reason = reason
    self.offset = offset
  }
}

extension DirectoryError: CustomStringConvertible {
  /// One sentence for a person.
  public var description: String {
    switch self {
    case .duplicateName(let name): "\"\(shown(name))\" is a duplicate name"
    case .wrongSorting(let name): "\"\(shown(name))\" stands after a name that must follow it"
    case .invalidName(let error): error.description
    case .invalidNode(let name, let error):
      name.isEmpty ? error.description : "entry \"\(shown(name))\": \(error)"
    case .sizeOverflow: "the sizes of the entries add up to more than 64 bits hold"
    case .nameInAnonymousNode(let name):
      "the node must not have a name, but is called \"\(shown(name))\""
    case .noNodeSet: "the message holds no node"
    case .malformed(let error): error.description
    }
  }
}

extension NodeError: CustomStringConvertible {
  /// One sentence for a person.
  public var description: String {
    switch self {
    case .invalidDigestLength(let count): "a BLAKE3 digest has 32 bytes, got \(count)"
    case .invalidSymlinkTarget(let error): error.description
    }
  }
}

extension WireError: CustomStringConvertible {
  /// One sentence for a person.
  public var description: String {
    let flaw =
      switch reason {
      case .truncated: "the message ends inside a field"
      case .numberTooLarge: "a number has more than 64 bits"
      case .numberNotMinimal: "a number is written with more bytes than it needs"
      case .unknownField(let number): "unknown field \(number)"
      case .fieldOutOfOrder(let number): "field \(number) is out of order"
      case .repeatedField(let number): "field \(number) is repeated"
      case .explicitDefault(let number):
        "field \(number) holds its default value"
      case .invalidBool: "a truth value is neither 0 nor 1"
      case .messageTooLarge: "the message is 4 GiB or larger"
      }
    return "not in canonical encoding: \(flaw) (at byte \(offset))"
  }
}

private func shown(_ name: [UInt8]) -> String {
  name.count <= 300 ? escaped(name) : escaped(name.prefix(300)) + "…"
}
