import ArgumentParser
import FileTree
import Glibc

struct ExportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write a tree of the store to the disk.",
    discussion: """
      DEST must not exist. It appears whole at the end, or not at all. Files share their blocks \
      with the store where the file system can do that.
      """
  )

  @OptionGroup var store: StoreOptions

  @Flag(help: "Print what was written as a JSON object.")
  var json = false

  @Argument(help: "ROOT or ROOT/PATH.")
  var path: StorePath

  @Argument(help: "Where to write it.")
  var destination: String

  func run() async throws {
    let services = try await store.openServices()
    let destination = ArgumentBytes.bytes(destination)
    let node = try await path.resolve(in: services)
    let exporter: TreeExporter
    if let local = services.local {
      exporter = TreeExporter(blobs: local, directories: local)
    } else {
      let tree = FetchedTree(blobs: services.blobs, directories: services.walkedDirectories)
      exporter = TreeExporter(blobs: tree, directories: tree)
    }
    try ProcessSignals.cancel { exporter.cancel() }
    let name = path.text
    let line = ProgressLine {
      let done = exporter.progress.snapshot
      return "\(name): \(done.files) files, \(humanBytes(done.bytes)) written"
    }
    do {
      defer { line.finish() }
      try exporter.export(node, to: destination)
    }
    await services.settle()
    if json {
      let done = exporter.progress.snapshot
      try Output.line(
        JSON.object([
          JSON.bytes("path", destination), ("files", .integer(done.files)),
          ("directories", .integer(done.directories)), ("symlinks", .integer(done.symlinks)),
          ("bytes", .integer(done.bytes)),
        ]).text
      )
    }
  }
}
