import ArgumentParser
import Castore
import CastoreStorage

struct RootsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "roots",
    abstract: "List, set and remove named roots.",
    subcommands: [
      List.self, Set.self, Remove.self, PinCommand.self, UnpinCommand.self, PinsCommand.self,
    ],
    defaultSubcommand: List.self
  )

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the roots with their digests.")

    @OptionGroup var store: StoreOptions

    @Flag(help: "Print one JSON array.")
    var json = false

    func run() async throws {
      let services = try await store.openServices()
      let output = JSONArrayOutput()
      for try await entry in services.roots.list() {
        if json {
          let name = JSON.bytes("name", entry.name.bytes)
          try output.add(.object([name] + JSON.members(of: entry.node)))
        } else {
          try Output.line("\(entry.name)\t\(reference(entry.node))")
        }
      }
      if json { try output.finish() }
    }
  }

  struct Set: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Name something that is in the store already."
    )

    @OptionGroup var store: StoreOptions

    @Flag(help: "Re-point a name that stands for something else.")
    var replace = false

    @Argument(help: "The name.")
    var name: String

    @Argument(help: "What it shall stand for: ROOT or ROOT/PATH.")
    var path: StorePath

    func run() async throws {
      let services = try await store.openServices()
      let name = try parseRootName(name)
      let node = try await path.resolve(in: services)
      try await record(name, node, replace: replace, in: services)
      await services.settle()
    }
  }

  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Remove names. What they stood for stays in the store."
    )

    @OptionGroup var store: StoreOptions

    @Argument(help: "The names.")
    var names: [Arguments<String>]

    func run() async throws {
      let services = try await store.openServices()
      for text in names.flatMap(\.values) {
        let name = try parseRootName(text)
        guard try await services.registry().dropRoot(name) else {
          throw CommandError("there is no root named '\(name)' in \(services.name)")
        }
      }
      await services.settle()
    }
  }
}

/// A root's name as given on the command line.
func parseRootName(_ text: String) throws -> PathComponent {
  do {
    return try PathComponent(ArgumentBytes.bytes(text))
  } catch {
    throw ValidationError("'\(escaped(ArgumentBytes.bytes(text)))' cannot name a root: \(error)")
  }
}

/// Names a tree.
///
/// - Throws: For a name that stands for something else, with the option that helps.
func record(_ name: PathComponent, _ node: Node, replace: Bool, in store: LocalStore) throws {
  do throws(ServiceError) {
    try store.setRoot(name, to: node, replace: replace)
  } catch {
    guard error.code == .invalidArgument, !replace else { throw error }
    throw CommandError("\(error) (see --replace)")
  }
}

/// Names a tree, wherever the store is.
func record(
  _ name: PathComponent,
  _ node: Node,
  replace: Bool,
  in services: Services
) async throws {
  let registry = try services.registry()
  do throws(ServiceError) {
    _ = try await registry.putRoot(name, node, replace: replace)
  } catch {
    guard error.code == .invalidArgument, !replace else { throw error }
    throw CommandError("\(error) (see --replace)")
  }
}

/// What a node is in one word: its digest, or where a link leads.
func reference(_ node: Node) -> String {
  switch node {
  case .directory(let digest, _), .file(let digest, _, _): digest.description
  case .symlink(let target): "-> \(target)"
  }
}
