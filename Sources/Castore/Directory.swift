/// The entries of one directory: names, each standing for a node, sorted by the names' bytes.
///
/// A valid directory always: no name twice, and the size by `DirectorySizeRule.specified` fits 64 bits.
public struct Directory: Hashable, Sendable {
  /// The entries, in ascending bytewise order of their names, all kinds mixed.
  public private(set) var entries: [NamedNode]

  /// The number of entries plus the sizes of the child directories.
  public private(set) var specifiedSize: UInt64

  /// An empty directory.
  public init() {
    entries = []
    specifiedSize = 0
  }

  /// Joins entries, given in any order.
  ///
  /// - Throws: `.duplicateName`, `.sizeOverflow`.
  /// - Complexity: O(n log n), O(n) where they are sorted already.
  public init(_ entries: some Sequence<NamedNode>) throws(DirectoryError) {
    var sorted = [NamedNode](entries)
    let isSorted = zip(sorted, sorted.dropFirst()).allSatisfy { $0.name < $1.name }
    if !isSorted { sorted.sort { $0.name < $1.name } }
    var size: UInt64 = 0
    for (index, entry) in sorted.enumerated() {
      if index > 0 && sorted[index - 1].name == entry.name {
        throw .duplicateName(entry.name.bytes)
      }
      size = try Self.size(size, adding: entry.node)
    }
    self.entries = sorted
    specifiedSize = size
  }

  /// How many bytes of memory it takes, about.
  ///
  /// - Complexity: O(n).
  package var memorySize: Int {
    // An entry in the array, and the heads of what its name and its target are on the heap.
    let each = MemoryLayout<NamedNode>.stride + 64
    return entries.reduce(64) { size, entry in
      guard case .symlink(let target) = entry.node else {
        return size + each + entry.name.bytes.count
      }
      return size + each + entry.name.bytes.count + target.bytes.count
    }
  }

  /// Takes entries that are known to be sorted and valid.
  init(checkedEntries: [NamedNode], specifiedSize: UInt64) {
    entries = checkedEntries
    self.specifiedSize = specifiedSize
  }

  /// Adds an entry where its name belongs.
  ///
  /// - Throws: `.duplicateName`, `.sizeOverflow`; the directory is then as it was.
  /// - Complexity: O(log n) where the name comes last, else O(n).
  public mutating func add(_ name: PathComponent, _ node: Node) throws(DirectoryError) {
    let (place, isThere) = place(of: name)
    if isThere { throw .duplicateName(name.bytes) }
    specifiedSize = try Self.size(specifiedSize, adding: node)
    entries.insert(NamedNode(name: name, node: node), at: place)
  }

  /// What a name stands for.
  ///
  /// - Complexity: O(log n).
  public func node(named name: PathComponent) -> Node? {
    let (place, isThere) = place(of: name)
    return isThere ? entries[place].node : nil
  }

  /// The size by a rule, from the sizes that the entries state.
  ///
  /// By `.snix` the size of an absurd directory may exceed 64 bits; it is then the greatest number.
  /// - Complexity: O(1).
  public func size(rule: DirectorySizeRule = .specified) -> UInt64 {
    sizes.exact(rule) ?? .max
  }

  /// Says whether a parent may state this size for the directory: what either rule gives.
  public func accepts(statedSize: UInt64) -> Bool {
    sizes.accept(statedSize)
  }

  var sizes: DirectorySizes {
    DirectorySizes(specified: specifiedSize, entryCount: entries.count)
  }

  private static func size(
    _ size: UInt64,
    adding node: Node
  ) throws(DirectoryError) -> UInt64 {
    var added: UInt64 = 0
    if case .directory(_, let childSize) = node { added = childSize }
    let (partial, overflow) = size.addingReportingOverflow(added)
    let (total, overflowToo) = partial.addingReportingOverflow(1)
    if overflow || overflowToo { throw .sizeOverflow }
    return total
  }

  private func place(of name: PathComponent) -> (index: Int, isThere: Bool) {
    // Entries mostly arrive in order.
    guard let last = entries.last, !(last.name < name) else { return (entries.count, false) }
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = low + (high - low) / 2
      if entries[middle].name < name { low = middle + 1 } else { high = middle }
    }
    return (low, entries[low].name == name)
  }
}
