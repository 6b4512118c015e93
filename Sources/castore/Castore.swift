import ArgumentParser

@main
struct CastoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "castore",
    abstract: "A content-addressed store for file trees, with a file system on top."
  )
}
