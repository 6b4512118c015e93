internal import Castore

/// Puts a tree together whose entries come depth first, and stores its directories.
struct TreeAssembler {
  private struct Level {
    var name: PathComponent?
    var entries: [NamedNode] = []
  }

  private let sink: any TreeSink
  private let options: NARIngester.Options
  private var levels: [Level] = []
  private var openEntries = 0
  // The name of the node that comes next; `nil` for the root.
  private var name: PathComponent?
  private(set) var root: Node?

  init(_ sink: any TreeSink, _ options: NARIngester.Options) {
    self.sink = sink
    self.options = options
  }

  mutating func beginEntry(_ name: PathComponent) {
    self.name = name
  }

  mutating func beginDirectory() {
    levels.append(Level(name: name))
    name = nil
  }

  mutating func endDirectory() throws(NARIngestionError) {
    guard let level = levels.popLast() else { preconditionFailure("a directory was begun") }
    openEntries -= level.entries.count
    let directory: Directory
    do throws(DirectoryError) {
      directory = try Directory(level.entries)
    } catch {
      name = level.name
      throw .invalidDirectory(path: path, error)
    }
    name = level.name
    let digest: B3Digest
    do throws(ServiceError) {
      digest = try sink.putDirectory(directory)
    } catch {
      throw .notStored(path: path, error)
    }
    try add(.directory(digest: digest, size: directory.size(rule: options.sizeRule)))
  }

  mutating func add(_ node: Node) throws(NARIngestionError) {
    guard let name, let last = levels.indices.last else {
      root = node
      return
    }
    openEntries += 1
    if openEntries > options.maximumOpenEntries {
      throw .tooManyEntries(limit: options.maximumOpenEntries)
    }
    levels[last].entries.append(NamedNode(name: name, node: node))
    self.name = nil
  }

  /// Where the next node stands, for messages.
  var path: String {
    let names = levels.compactMap(\.name) + (name.map { [$0] } ?? [])
    return names.isEmpty ? "the root of the tree" : "'\(CastorePath(names))'"
  }
}
