internal import Castore

/// The tree of an archive whose entries come in any order: parents may be missing, and a later entry takes
/// the place of an earlier one of the same path.
struct TarTree {
  private enum Entry {
    case node(Node)
    case folder(Int)
  }

  /// The folders; one inside of another always has the greater number.
  private var folders: [[PathComponent: Entry]] = [[:]]
  private var entryCount = 0
  private(set) var hasRootEntry = false
  private let entryLimit: Int

  init(entryLimit: Int) {
    self.entryLimit = entryLimit
  }

  /// Adds a directory, which may be there already.
  mutating func addDirectory(_ path: CastorePath) throws(TarIngestionError) {
    guard let name = path.lastComponent else {
      hasRootEntry = true
      return
    }
    let parent = try folder(above: path)
    if case .folder = folders[parent][name] { return }
    try addFolder(name, in: parent)
  }

  /// Adds a file or link in place of what was there.
  mutating func add(_ path: CastorePath, _ node: Node) throws(TarIngestionError) {
    guard let name = path.lastComponent else {
      throw .invalidPath(path: ".", .absolute)
    }
    let parent = try folder(above: path)
    try count()
    folders[parent][name] = .node(node)
  }

  /// Adds another name of a file or link that is there.
  mutating func addLink(
    _ path: CastorePath,
    to original: CastorePath
  ) throws(TarIngestionError) {
    guard let node = node(at: original) else {
      throw .danglingLink(path: path.description, to: original.description)
    }
    try add(path, node)
  }

  /// The file or link at a path.
  private func node(at path: CastorePath) -> Node? {
    var number = 0
    for name in path.components.dropLast() {
      guard case .folder(let child) = folders[number][name] else { return nil }
      number = child
    }
    guard let name = path.lastComponent, case .node(let node) = folders[number][name] else {
      return nil
    }
    return node
  }

  /// Stores all directories, leaves first.
  ///
  /// - Returns: The root, with its name in the archive; without, where the root is all of the archive.
  consuming func finish(
    _ top: TarIngester.Top,
    _ sizeRule: DirectorySizeRule,
    _ store: (Directory) throws(ServiceError) -> B3Digest
  ) throws(TarIngestionError) -> (name: PathComponent?, node: Node) {
    let takesAll =
      switch top {
      case .single: hasRootEntry
      case .singleOrAll: hasRootEntry || folders[0].count > 1
      case .all: true
      }
    if takesAll ? !hasRootEntry && folders[0].isEmpty : folders[0].count != 1 {
      throw .unexpectedRoots(count: folders[0].count)
    }
    // Folders that a later entry replaced are left out.
    var isReachable = [Bool](repeating: false, count: folders.count)
    isReachable[0] = true
    for number in folders.indices where isReachable[number] {
      for case .folder(let child) in folders[number].values { isReachable[child] = true }
    }
    var nodes: [Int: Node] = [:]
    for number in folders.indices.reversed() where isReachable[number] {
      var entries: [NamedNode] = []
      entries.reserveCapacity(folders[number].count)
      for (name, entry) in folders[number] {
        switch entry {
        case .node(let node): entries.append(NamedNode(name: name, node: node))
        case .folder(let child):
          guard let node = nodes.removeValue(forKey: child) else {
            preconditionFailure("a folder inside has the greater number")
          }
          entries.append(NamedNode(name: name, node: node))
        }
      }
      folders[number] = [:]
      if number == 0 && !takesAll, let only = entries.first { return (only.name, only.node) }
      nodes[number] = try Self.node(entries, sizeRule, store)
    }
    guard let root = nodes[0] else { preconditionFailure("the root is reachable") }
    return (nil, root)
  }

  private static func node(
    _ entries: [NamedNode],
    _ sizeRule: DirectorySizeRule,
    _ store: (Directory) throws(ServiceError) -> B3Digest
  ) throws(TarIngestionError) -> Node {
    let directory: Directory
    do throws(DirectoryError) {
      directory = try Directory(entries)
    } catch {
      throw .invalidDirectory(error)
    }
    do throws(ServiceError) {
      return .directory(digest: try store(directory), size: directory.size(rule: sizeRule))
    } catch {
      throw .notStored(path: "a directory", error)
    }
  }

  /// The folder that an entry belongs to; folders that are missing on the way are made.
  private mutating func folder(above path: CastorePath) throws(TarIngestionError) -> Int {
    var number = 0
    for (depth, name) in path.components.dropLast().enumerated() {
      switch folders[number][name] {
      case .folder(let child): number = child
      case .node:
        let parent = CastorePath(Array(path.components[...depth]))
        throw .notADirectory(path: path.description, below: parent.description)
      case nil: number = try addFolder(name, in: number)
      }
    }
    return number
  }

  @discardableResult
  private mutating func addFolder(
    _ name: PathComponent,
    in parent: Int
  ) throws(TarIngestionError) -> Int {
    try count()
    folders.append([:])
    folders[parent][name] = .folder(folders.count - 1)
    return folders.count - 1
  }

  private mutating func count() throws(TarIngestionError) {
    entryCount += 1
    if entryCount > entryLimit { throw .tooManyEntries(limit: entryLimit) }
  }
}
