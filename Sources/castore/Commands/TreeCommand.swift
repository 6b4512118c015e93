import ArgumentParser
import Castore

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
    var entries: [NamedNode]
    var position = 0
    var path: [UInt8]
    var indent: String
  }

  func run() async throws {
    let services = try await store.openServices()
    let directories = services.walkedDirectories
    func makeLevel(_ digest: B3Digest, _ path: [UInt8], _ indent: String) async throws -> Level {
      let directory = try await services.directory(digest, at: escaped(path), in: directories)
      return Level(entries: directory.entries, path: path, indent: indent)
    }
    let node = try await path.resolve(in: services)
    if !json { try Output.line(path.text) }
    guard case .directory(let digest, _) = node else {
      if json { try Output.line(line(path.components.last?.bytes ?? path.root.bytes, node)) }
      return
    }
    // A stack of our own: trees from elsewhere may be deeper than a thread's.
    var levels = [try await makeLevel(digest, [], "")]
    while var level = levels.popLast() {
      guard level.position < level.entries.count else { continue }
      let entry = level.entries[level.position]
      level.position += 1
      let isLast = level.position == level.entries.count
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
        levels.append(try await makeLevel(digest, path, indent + (isLast ? "    " : "│   ")))
      }
    }
    await services.settle()
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
