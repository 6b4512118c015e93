import ArgumentParser

struct NixCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nix",
    abstract: "Use the store as a Nix store: store paths, NARs, closures.",
    discussion: """
      Store paths stand beside the named roots: `castore mount` shows both, and where a ROOT is \
      wanted, a store path (/nix/store/HASH-NAME or HASH-NAME) will do.
      """,
    subcommands: [
      NixAddCommand.self,
      NixPathInfoCommand.self,
      NixHashCommand.self,
      NixDumpCommand.self,
      NixRestoreCommand.self,
      NixCopyCommand.self,
      NixRemoveCommand.self,
    ]
  )
}
