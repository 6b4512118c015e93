import ArgumentParser
import Castore
import CastoreStorage

struct InitCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "init",
    abstract: "Make an empty store.",
    discussion: """
      Other commands make a store where there is none, which is its owner's alone; this one says how \
      it is to be. What a store was made with stands in its file 'format'.

      Example: castore init --store /srv/castore --shared group
      """
  )

  @OptionGroup var store: StoreOptions

  @Option(
    help: ArgumentHelp(
      "Who may use the store: owner, or group for all members of the folder's group.",
      valueName: "who"
    )
  )
  var shared = Sharing.owner

  func run() async throws {
    var options = CastoreStorage.StoreOptions()
    options.access = shared.access
    let store = try store.make(options)
    if store.options != options {
      throw CommandError("\(store.path) is a store already, and was made with other options")
    }
    try Output.line(store.path)
  }
}

/// Who may use a store, on the command line.
enum Sharing: String, ExpressibleByArgument, CaseIterable {
  case owner
  case group

  var access: StoreAccess {
    switch self {
    case .owner: .owner
    case .group: .group
    }
  }
}
