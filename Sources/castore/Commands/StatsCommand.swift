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
    if json {
      var values: [(key: String, value: UInt64)] = [
        ("roots", counts.roots),
        ("storePaths", counts.pathInfos),
        ("pins", counts.pins),
        ("directories", counts.directories),
        ("directoryBytes", counts.directoryBytes),
        ("blobs", counts.blobs),
        ("blobBytes", counts.blobBytes),
        ("fileBlobs", counts.fileBlobs),
        ("fileBlobBytes", counts.fileBlobBytes),
        ("packs", counts.packs),
        ("packBytes", counts.packBytes),
        ("duplicateBytes", counts.duplicateBytes),
        ("indexBytes", counts.indexBytes),
      ]
      if let bytes = counts.liveBytes { values.append(("liveBytes", bytes)) }
      if let bytes = counts.deadBytes { values.append(("deadBytes", bytes)) }
      return try Output.line(JSON.object(values.map { ($0.key, .integer($0.value)) }).text)
    }
    try Output.line(
      "names        \(counts.roots) roots, \(counts.pathInfos) store paths, \(counts.pins) pins"
    )
    try Output.line("directories  \(counts.directories) (\(humanBytes(counts.directoryBytes)))")
    try Output.line("blobs        \(counts.blobs) (\(humanBytes(counts.blobBytes)))")
    try Output.line(
      "  as files   \(counts.fileBlobs) (\(humanBytes(counts.fileBlobBytes)))"
    )
    if let live = counts.liveBytes, let dead = counts.deadBytes {
      try Output.line("live         \(humanBytes(live)), dead \(humanBytes(dead))")
    }
    try Output.line(
      "packs        \(counts.packs) (\(humanBytes(counts.packBytes))), "
        + "\(humanBytes(counts.duplicateBytes)) twice"
    )
    try Output.line("index        \(humanBytes(counts.indexBytes))")
  }
}
