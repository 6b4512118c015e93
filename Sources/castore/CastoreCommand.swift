import ArgumentParser

/// The one binary. Commands parse, wire and print; what they do lies in the libraries.
struct CastoreCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "castore",
    abstract: "A content-addressed store for file trees, with a file system on top.",
    discussion: """
      Import a tree once; every file is named by its BLAKE3 digest, every directory by the digest \
      of its encoding. Then mount the store, look into it, or export from it.

      Every command takes --store URL, or the environment variable CASTORE_STORE.
      Data goes to standard output, everything else to standard error.
      Exit status: 0 done, 1 failed, 64 wrong usage.
      """,
    version: "0.1.0",
    subcommands: [
      InitCommand.self,
      ImportCommand.self,
      ExportCommand.self,
      ListCommand.self,
      CatCommand.self,
      TreeCommand.self,
      RootsCommand.self,
      MountCommand.self,
      VirtioFSCommand.self,
      NixCommand.self,
      DaemonCommand.self,
      CopyCommand.self,
      VerifyCommand.self,
      GarbageCommand.self,
      StatsCommand.self,
    ]
  )
}
