import ArgumentParser
import Castore
import NixCompat
import NixStore

struct NixPathInfoCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "path-info",
    abstract: "Show what is known about store paths; about all of them without an argument."
  )

  @OptionGroup var store: StoreOptions

  @Flag(
    help: "Print one JSON array, with the fields of nix path-info --json and the tree's digest."
  )
  var json = false

  @Argument(help: "Store paths.")
  var paths: [Arguments<String>] = []

  func run() async throws {
    let paths = try paths.flatMap(\.values).map(parseStorePath)
    let services = try await store.openServices()
    let output = JSONArrayOutput()
    func show(_ info: PathInfo) throws {
      if json { return try output.add(Self.json(info)) }
      try Output.line(info.storePath.absolutePath)
    }
    if paths.isEmpty {
      for try await info in services.pathInfos.list() { try show(info) }
    }
    for path in paths {
      guard let info = try await services.pathInfo(path) else {
        throw CommandError("\(path.absolutePath) is not in \(services.name)")
      }
      try show(info)
    }
    if json { try output.finish() }
  }

  private static func json(_ info: PathInfo) -> JSON {
    var members: [(key: String, value: JSON)] = [
      ("path", .string(info.storePath.absolutePath)),
      ("narHash", .string(NixHash(info.narHash).sri)),
      ("narSize", .integer(info.narSize)),
      ("references", .array(info.references.map { .string($0.absolutePath) })),
    ]
    if let address = info.contentAddress { members.append(("ca", .string(address.description))) }
    if let deriver = info.deriver {
      members.append(("deriver", .string(deriver.absolutePath + ".drv")))
    }
    if !info.signatures.isEmpty {
      members.append(("signatures", .array(info.signatures.map { .string($0.description) })))
    }
    members.append(("castore", .object(JSON.members(of: info.node))))
    return .object(members)
  }
}
