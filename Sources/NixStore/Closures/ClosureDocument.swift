public import NixCompat

/// What Nix knows about some store paths, as its own commands print it.
///
/// Reads the array that `nix path-info --json --recursive` and `exportReferencesGraph` of structured
/// derivations print, the object from paths to the same that newer versions of Nix print, and either of
/// them as the single member of an object.
public struct ClosureDocument: Sendable {
  /// One store path.
  public struct Entry: Hashable, Sendable {
    /// The path.
    public var storePath: StorePath
    /// The SHA-256 of its NAR.
    public var narHash: SHA256Digest
    /// How many bytes its NAR has.
    public var narSize: UInt64
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
    let fields: [ClosureParser.Fields]
    do throws(NARListingError) {
      var parser = ClosureParser(text.span)
      fields = try parser.run()
    } catch {
      throw Self.malformed(error)
    }
    var entries: [Entry] = []
    for (place, fields) in fields.enumerated() {
      entries.append(try Entry(fields, number: place + 1))
    }
    self.entries = try Self.sorted(entries)
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
