import ArgumentParser
import Castore
import CastoreStorage

struct TreeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tree",
    abstract: "Show everything below a root or directory."
  )

  @OptionGroup var store: StoreOptions

  @Flag(name: .shortAndLong, help: "Show type, size, digest and link target.")
  var long = false

  @Flag(help: "Print one JSON object a line, each with its path.")
  var json = false

  @Option(name: .shortAndLong, help: "How many levels to show; all without it.")
  var depth: Int?

  @Argument(help: "ROOT or ROOT/PATH.")
  var path: StorePath

  func validate() throws {
    if let depth, depth < 1 { throw ValidationError("--depth must be at least 1") }
  }

  /// A directory that is being shown.
  private struct Level {
    var directory: DirectoryIndex
    var position = 0
    var path: [UInt8]
    var indent: String
  }

  func run() async throws {
    let store = try store.open()
    let node = try path.resolve(in: store)
    if !json { try Output.line(path.text) }
    guard case .directory(let digest, _) = node else {
      if json { try Output.line(line(path.components.last?.bytes ?? path.root.bytes, node)) }
      return
    }
    // A stack of our own: trees from elsewhere may be deeper than a thread's.
    var levels = [try level(digest, [], "", store)]
    while var level = levels.popLast() {
      guard level.position < level.directory.count else { continue }
      let entry = level.directory.entry(at: level.position).namedNode
      level.position += 1
      let isLast = level.position == level.directory.count
      let indent = level.indent
      let path = level.path.isEmpty ? entry.name.bytes : level.path + [0x2F] + entry.name.bytes
      levels.append(level)
      if json {
        try Output.line(line(path, entry.node))
      } else {
        try Output.line(
          indent + (isLast ? "└── " : "├── ") + (long ? longLine(entry) : plain(entry))
        )
      }
      if case .directory(let digest, _) = entry.node, levels.count < depth ?? .max {
        levels.append(try self.level(digest, path, indent + (isLast ? "    " : "│   "), store))
      }
    }
  }

  private func level(
    _ digest: B3Digest,
    _ path: [UInt8],
    _ indent: String,
    _ store: LocalStore
  ) throws -> Level {
    guard let directory = try store.directoryIndexLocal(digest) else {
      throw CommandError("directory \(digest) is missing in \(store.path)")
    }
    return Level(directory: directory, path: path, indent: indent)
  }

  private func line(_ path: [UInt8], _ node: Node) -> String {
    JSON.object([JSON.bytes("path", path)] + JSON.members(of: node)).text
  }

  private func plain(_ entry: NamedNode) -> String {
    switch entry.node {
    case .directory: "\(entry.name)/"
    case .file(_, _, let isExecutable): "\(entry.name)\(isExecutable ? "*" : "")"
    case .symlink(let target): "\(entry.name) -> \(target)"
    }
  }
}
