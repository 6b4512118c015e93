/// A path inside a tree: names from the root downwards, without `.`, `..` or a leading slash.
///
/// The root is the empty path.
public struct CastorePath: Hashable, Sendable {
  /// The names, from the top.
  public private(set) var components: [PathComponent]

  /// The root of a tree.
  public static var root: CastorePath { CastorePath([]) }

  /// Joins names.
  public init(_ components: [PathComponent]) {
    self.components = components
  }

  /// Reads names with one slash between each two; no bytes are the root.
  ///
  /// - Throws: What is wrong with a component. A leading, trailing or doubled slash makes an empty one.
  public init(_ bytes: some Collection<UInt8>) throws(PathComponentError) {
    components = []
    if bytes.isEmpty { return }
    for name in bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
      components.append(try PathComponent([UInt8](name)))
    }
  }

  /// Reads names with one slash between each two; no text is the root.
  public init(_ text: String) throws(PathComponentError) {
    try self.init(text.utf8)
  }

  /// Reads a path as people write it on this machine: repeated and trailing slashes and `.` are dropped.
  ///
  /// - Parameter resolvingParents: Whether `..` takes the name before it away; else it is refused.
  ///   That is textual: it knows of no symbolic links.
  public init(
    hostPath bytes: some Collection<UInt8>,
    resolvingParents: Bool = false
  ) throws(CastorePathError) {
    if bytes.first == UInt8(ascii: "/") { throw .absolute }
    components = []
    for part in bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: true) {
      do throws(PathComponentError) {
        components.append(try PathComponent([UInt8](part)))
      } catch {
        switch error.reason {
        case .currentDirectory: continue
        case .parent where !resolvingParents: throw .parentReference
        case .parent where components.isEmpty: throw .escapesRoot
        case .parent: components.removeLast()
        default: throw .invalidComponent(error)
        }
      }
    }
  }

  /// Reads a path as people write it on this machine: repeated and trailing slashes and `.` are dropped.
  public init(
    hostPath text: String,
    resolvingParents: Bool = false
  ) throws(CastorePathError) {
    try self.init(hostPath: text.utf8, resolvingParents: resolvingParents)
  }

  /// Whether this is the root.
  public var isRoot: Bool { components.isEmpty }

  /// The path without its last name; `nil` for the root.
  public var parent: CastorePath? {
    isRoot ? nil : CastorePath([PathComponent](components.dropLast()))
  }

  /// The last name; `nil` for the root.
  public var lastComponent: PathComponent? { components.last }

  /// Adds a name at the end.
  public mutating func append(_ name: PathComponent) {
    components.append(name)
  }

  /// The path with one more name.
  public func appending(_ name: PathComponent) -> CastorePath {
    CastorePath(components + [name])
  }

  /// The path with one more name, which is checked.
  public func joined(_ name: [UInt8]) throws(PathComponentError) -> CastorePath {
    appending(try PathComponent(name))
  }

  /// The names with one slash between each two.
  public var bytes: [UInt8] {
    [UInt8](components.map(\.bytes).joined(separator: [UInt8(ascii: "/")]))
  }
}

extension CastorePath: CustomStringConvertible {
  /// The path, with control characters and bytes that are not UTF-8 escaped. Not reversible.
  public var description: String { escaped(bytes) }
}

/// Why a path of this machine is not one inside a tree.
public enum CastorePathError: Error, Hashable, Sendable {
  /// It starts at the root of the file system.
  case absolute
  /// It holds `..`.
  case parentReference
  /// Its `..` lead out of the tree.
  case escapesRoot
  /// One of its names breaks the rules.
  case invalidComponent(PathComponentError)
}

extension CastorePathError: CustomStringConvertible {
  /// One sentence for a person.
  public var description: String {
    switch self {
    case .absolute: "the path must be relative, but starts with a slash"
    case .parentReference: "the path must not hold \"..\""
    case .escapesRoot: "the path leads out of the tree: too many \"..\""
    case .invalidComponent(let error): error.description
    }
  }
}
