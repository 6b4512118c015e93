public import NixCompat

/// What Nix knows about some store paths, as its own commands print it.
///
/// Reads what `nix path-info --json --recursive` prints: the array of older versions of Nix, the object by
/// path of 2.19, and version 2 of the format. And what `exportReferencesGraph` writes: the attributes of a
/// structured derivation, with all the graphs that are among them, and the plain text, with hashes
/// (`registration` of `closureInfo`) or without. Anything else is an error.
public struct ClosureDocument: Sendable {
  /// One store path.
  public struct Entry: Hashable, Sendable {
    /// The path.
    public var storePath: StorePath
    /// The SHA-256 of its NAR; `nil` where the document states none.
    public var narHash: SHA256Digest?
    /// How many bytes its NAR has; `nil` where the document states nothing about it.
    public var narSize: UInt64?
    /// The store paths it refers to, in the order of the document.
    public var references: [StorePath]
    /// The derivation that built it; its name without `.drv`.
    public var deriver: StorePath?
    /// Signatures.
    public var signatures: [NixSignature]
    /// What fixes the contents.
    public var contentAddress: ContentAddress?
  }

  /// The entries, each after all that it refers to, itself excepted.
  public let entries: [Entry]

  /// Reads a document.
  public init(parsing text: [UInt8]) throws(ClosureError) {
    var entries: [Entry] = []
    var known: Set<Entry> = []
    for list in try Self.lists(text) {
      var added: [Entry] = []
      for (place, fields) in list.enumerated() {
        let entry = try Entry(fields, number: place + 1)
        // Graphs share paths.
        if !known.contains(entry) { added.append(entry) }
      }
      entries += added
      known.formUnion(added)
    }
    self.entries = try Self.sorted(entries)
  }

  private static func lists(
    _ text: [UInt8]
  ) throws(ClosureError) -> [[ClosureParser.Fields]] {
    if text.first == UInt8(ascii: "/") {
      var registration = RegistrationParser(text)
      return [try registration.run()]
    }
    do throws(NARListingError) {
      var parser = ClosureParser(text.span)
      return try parser.run()
    } catch {
      throw malformed(error)
    }
  }

  private static func malformed(_ error: NARListingError) -> ClosureError {
    switch error {
    case .invalidJSON(let offset): .malformed("malformed JSON", offset: offset)
    case .unexpected(let flaw, let offset): .malformed(flaw, offset: offset)
    default: .malformed("\(error)", offset: 0)
    }
  }

  /// Brings entries into the order of their references.
  private static func sorted(_ entries: [Entry]) throws(ClosureError) -> [Entry] {
    var places: [StorePath: Int] = [:]
    for (place, entry) in entries.enumerated() {
      if places.updateValue(place, forKey: entry.storePath) != nil {
        throw .duplicate(entry.storePath)
      }
    }
    var sorted: [Entry] = []
    var isBegun = [Bool](repeating: false, count: entries.count)
    var isDone = isBegun
    // Depth first, without recursion: where each open entry is in its references.
    var open: [(place: Int, next: Int)] = []
    for start in entries.indices where !isBegun[start] {
      open.append((start, 0))
      isBegun[start] = true
      while let (place, next) = open.last {
        let entry = entries[place]
        guard next < entry.references.count else {
          open.removeLast()
          isDone[place] = true
          sorted.append(entry)
          continue
        }
        open[open.count - 1].next += 1
        let reference = entry.references[next]
        if reference == entry.storePath { continue }
        guard let target = places[reference] else {
          throw .missingReference(of: entry.storePath, to: reference)
        }
        if isDone[target] { continue }
        if isBegun[target] { throw .circle(entry.storePath) }
        isBegun[target] = true
        open.append((target, 0))
      }
    }
    return sorted
  }
}

/// Why a document does not describe a closure.
public enum ClosureError: Error, Sendable {
  /// The text is not JSON, or not of a known form: what is wrong, and at which byte.
  case malformed(String, offset: Int)
  /// A field of an entry is missing or wrong; the path says which entry, as far as that is known.
  case invalidField(path: String, field: String, reason: String)
  /// A path is described twice.
  case duplicate(StorePath)
  /// A path that others refer to is not described.
  case missingReference(of: StorePath, to: StorePath)
  /// A path refers to itself by way of others.
  case circle(StorePath)
}

extension ClosureError: CustomStringConvertible {
  /// One sentence for a person.
  public var description: String {
    switch self {
    case .malformed(let flaw, let offset): "the closure: \(flaw) at byte \(offset)"
    case .invalidField(let path, let field, let reason):
      "the closure: \(field) of \(path): \(reason)"
    case .duplicate(let path): "the closure describes \(path) twice"
    case .missingReference(let path, let reference):
      "the closure lacks \(reference), to which \(path) refers"
    case .circle(let path): "in the closure, \(path) refers to itself by way of others"
    }
  }
}
