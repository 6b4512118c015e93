import ArgumentParser
import Castore

struct ListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ls",
    abstract: "List a directory of the store, or the roots."
  )

  @OptionGroup var store: StoreOptions

  @Flag(name: .shortAndLong, help: "Show type, size, digest and link target.")
  var long = false

  @Flag(help: "Print one JSON array.")
  var json = false

  @Flag(name: [.customShort("0"), .long], help: "Print raw names, each ended by a NUL byte.")
  var null = false

  @Argument(help: "ROOT or ROOT/PATH; all roots without it.")
  var path: StorePath?

  func run() async throws {
    let services = try await store.openServices()
    if json {
      let output = JSONArrayOutput()
      try await forEach(in: services) { entry in
        let name = JSON.bytes("name", entry.name.bytes)
        try output.add(.object([name] + JSON.members(of: entry.node)))
      }
      return try output.finish()
    }
    try await forEach(in: services) { entry in
      if null { return try Output.write(entry.name.bytes + [0]) }
      try Output.line(long ? longLine(entry) : entry.name.description)
    }
  }

  private func forEach(in services: Services, _ body: (NamedNode) throws -> Void) async throws {
    guard let path else {
      for try await entry in services.roots.list() { try body(entry) }
      return
    }
    let node = try await path.resolve(in: services)
    guard case .directory(let digest, _) = node else {
      // Like ls(1): a file is listed as itself.
      return try body(NamedNode(name: path.components.last ?? path.root, node: node))
    }
    let directory = try await services.directory(
      digest,
      at: path.text,
      in: services.directories
    )
    for entry in directory.entries { try body(entry) }
    await services.settle()
  }
}

/// Type, size, digest and name in columns, as `ls -l` and `tree -l` show them.
func longLine(_ entry: NamedNode) -> String {
  func column(_ size: UInt64) -> String {
    let text = String(size)
    return String(repeating: " ", count: max(0, 12 - text.utf8.count)) + text
  }
  // As wide as a digest.
  let noDigest = "-" + String(repeating: " ", count: 46)
  switch entry.node {
  case .directory(let digest, let size):
    return "d \(column(size)) \(digest) \(entry.name)/"
  case .file(let digest, let size, let isExecutable):
    return "\(isExecutable ? "x" : "f") \(column(size)) \(digest) \(entry.name)"
  case .symlink(let target):
    return "l \(column(UInt64(target.bytes.count))) \(noDigest) \(entry.name) -> \(target)"
  }
}
