public import Castore

extension PathComponent: ExpressibleByStringLiteral {
  /// A name that the test's author knows to be valid.
  public init(stringLiteral text: String) {
    do throws(PathComponentError) {
      try self.init(text)
    } catch {
      preconditionFailure("\(error)")
    }
  }
}

extension SymlinkTarget: ExpressibleByStringLiteral {
  /// A target that the test's author knows to be valid.
  public init(stringLiteral text: String) {
    do throws(SymlinkTargetError) {
      try self.init(text)
    } catch {
      preconditionFailure("\(error)")
    }
  }
}

extension CastorePath: ExpressibleByStringLiteral {
  /// A path that the test's author knows to be valid.
  public init(stringLiteral text: String) {
    do throws(PathComponentError) {
      try self.init(text)
    } catch {
      preconditionFailure("\(error)")
    }
  }
}

extension B3Digest {
  /// The digest that a test's author wrote down as 64 hexadecimal digits.
  public init(hex text: String) {
    do throws(B3DigestError) {
      try self.init(text: text)
    } catch {
      preconditionFailure("\(error)")
    }
  }
}

extension Directory {
  /// Entries that the test's author knows to make a directory.
  public init(fixture entries: KeyValuePairs<PathComponent, Node>) {
    do throws(DirectoryError) {
      try self.init(entries.map { NamedNode(name: $0, node: $1) })
    } catch {
      preconditionFailure("\(error)")
    }
  }

  /// The node that refers to the directory.
  public func node(rule: DirectorySizeRule = .specified) -> Node {
    .directory(digest: digest, size: size(rule: rule))
  }
}

/// Bytes written down as hexadecimal digits.
public func bytes(hex text: String) -> [UInt8] {
  guard let bytes = Hex.decode(text.utf8) else { preconditionFailure("not hex: \(text)") }
  return bytes
}
