import ArgumentParser
import Castore
import CastoreStorage
import Glibc

struct GarbageCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gc",
    abstract: "Remove what no root, store path or pin refers to.",
    discussion: """
      Runs beside imports, daemons and mounts: what they have stored, found or shown stays until they \
      end. What a cache holds is not named, so it goes. A collection that is cut off leaves the rest \
      for the next one.

      Example: castore gc --keep 7d
      """
  )

  @OptionGroup var store: StoreOptions

  @Option(
    help: ArgumentHelp(
      "Keep also what had a name this long ago: a number and s, m, h, d or w.",
      valueName: "time"
    )
  )
  var keep: Duration?

  @Flag(name: .shortAndLong, help: "Say what would be removed, and remove nothing.")
  var dryRun = false

  @Flag(help: "Wait for another collection of the same store.")
  var wait = false

  @Flag(help: "Print the result as a JSON object.")
  var json = false

  func run() async throws {
    let store = try store.open()
    if store.isReadOnly { throw CommandError("the store \(store.path) cannot be written to") }
    let result: StoreCollection
    do throws(ServiceError) {
      result = try store.collectGarbage(
        unnamedSince: keep.map { Int64(time(nil)) - $0.seconds },
        dryRun: dryRun,
        waits: wait
      )
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
    for missing in result.missing { note("castore: \(missing) is referred to and missing") }
    if json {
      return try Output.line(
        JSON.object([
          ("blobs", .integer(result.blobs)), ("directories", .integer(result.directories)),
          ("packs", .integer(result.packs)), ("files", .integer(result.files)),
          ("freedBytes", .integer(result.freedBytes)),
          ("keptBlobs", .integer(result.keptBlobs)),
          ("keptDirectories", .integer(result.keptDirectories)),
          ("missing", .integer(UInt64(result.missing.count))),
        ]).text
      )
    }
    try Output.line(
      "\(dryRun ? "would remove" : "removed") \(result.blobs) blobs and "
        + "\(result.directories) directories: \(result.packs) packs and \(result.files) files"
        + (dryRun ? "" : ", \(humanBytes(result.freedBytes))")
    )
    try Output.line("kept \(result.keptBlobs) blobs and \(result.keptDirectories) directories")
  }

  /// A time on the command line.
  struct Duration: ExpressibleByArgument {
    var seconds: Int64

    init?(argument: String) {
      let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604_800]
      guard let last = argument.last, let unit = units[last],
        let number = Int64(argument.dropLast()), number >= 0
      else { return nil }
      let (seconds, overflow) = number.multipliedReportingOverflow(by: unit)
      if overflow { return nil }
      self.seconds = seconds
    }
  }
}
