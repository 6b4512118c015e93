import ArgumentParser
import CastoreStorage

struct StatsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stats",
    abstract: "Count what the store holds."
  )

  @OptionGroup var store: StoreOptions

  @Flag(help: "Print a JSON object.")
  var json = false

  func run() async throws {
    let counts = try store.open().statistics()
    let values: [(key: String, value: UInt64)] = [
      ("roots", counts.roots),
      ("directories", counts.directories),
      ("directoryBytes", counts.directoryBytes),
      ("blobs", counts.blobs),
      ("blobBytes", counts.blobBytes),
      ("fileBlobs", counts.fileBlobs),
      ("fileBlobBytes", counts.fileBlobBytes),
      ("indexBytes", counts.indexBytes),
    ]
    if json {
      return try Output.line(JSON.object(values.map { ($0.key, .integer($0.value)) }).text)
    }
    try Output.line("roots        \(counts.roots)")
    try Output.line("directories  \(counts.directories) (\(humanBytes(counts.directoryBytes)))")
    try Output.line("blobs        \(counts.blobs) (\(humanBytes(counts.blobBytes)))")
    try Output.line(
      "  as files   \(counts.fileBlobs) (\(humanBytes(counts.fileBlobBytes)))"
    )
    try Output.line("index        \(humanBytes(counts.indexBytes))")
  }
}
