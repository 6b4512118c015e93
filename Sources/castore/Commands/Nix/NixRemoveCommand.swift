import ArgumentParser
import Castore
import CastoreStorage
import NixCompat
import NixStore

struct NixRemoveCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove",
    abstract: "Forget store paths. What they named stays until it is collected.",
    discussion: """
      Takes no notice of who refers to a path: a store path that others refer to is missing there \
      afterwards.

      Example: castore nix remove 00bgd045z0d4icpbc2yyz4gx48ak44la-net-tools-1.60_p20170221182432
      """
  )

  @OptionGroup var store: StoreOptions

  @Argument(help: "The store paths, with or without /nix/store/.")
  var paths: [String]

  func run() async throws {
    let store = try store.open()
    for text in paths {
      let path = try parseStorePath(text)
      if try !store.pathInfos.removeLocal(path.digest) {
        throw CommandError("\(store.path) does not know the store path \(path.baseName)")
      }
    }
  }
}
