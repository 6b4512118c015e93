import ArgumentParser
import Castore
import CastoreStorage
import NixStore

struct GarbageCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gc",
    abstract: "Remove what no root and no store path refers to.",
    discussion: """
      Refuses while somebody may be writing: an import, a daemon, a mount with --cache. Mounts go on; what \
      is removed can no longer be read there, even from files that are open. What a cache holds is not \
      named, so it goes. The index does not shrink, its pages are used again.
      """
  )

  @OptionGroup var store: StoreOptions

  @Flag(name: .shortAndLong, help: "Say what would be removed, and remove nothing.")
  var dryRun = false

  @Flag(help: "Wait for those who may be writing.")
  var wait = false

  @Flag(help: "Print the result as a JSON object.")
  var json = false

  func run() async throws {
    let store = try store.open()
    if !dryRun && store.isReadOnly {
      throw CommandError("the store \(store.path) cannot be written to")
    }
    let infos = store.pathInfos
    let result: StoreCollection
    do throws(ServiceError) {
      result = try store.collectGarbage(dryRun: dryRun, waits: wait) {
        (key, value) throws(ServiceError) in try infos.node(inRecord: value, key: key)
      }
    } catch {
      switch error.code {
      case .unavailable: throw CommandError("\(error); try again later, or use --wait")
      case .notFound, .corrupt:
        throw CommandError(
          "\(error); nothing was removed, 'castore verify' names all that is wrong"
        )
      default: throw error
      }
    }
    if json {
      return try Output.line(
        JSON.object([
          ("blobs", .integer(result.blobs)), ("blobBytes", .integer(result.blobBytes)),
          ("directories", .integer(result.directories)), ("files", .integer(result.files)),
          ("fileBytes", .integer(result.fileBytes)), ("keptBlobs", .integer(result.keptBlobs)),
          ("keptDirectories", .integer(result.keptDirectories)),
        ]).text
      )
    }
    try Output.line(
      "\(dryRun ? "would remove" : "removed") \(result.blobs) blobs "
        + "(\(humanBytes(result.blobBytes))) and \(result.directories) directories; "
        + "\(humanBytes(result.fileBytes)) in \(result.files) files"
    )
    try Output.line("kept \(result.keptBlobs) blobs and \(result.keptDirectories) directories")
  }
}
