import ArgumentParser
import Castore
import CastoreStorage
import Synchronization

struct VerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check that everything the roots need is there, and is what it should be.",
    discussion: "Reads and hashes everything. Names each problem, and then ends with status 1."
  )

  @OptionGroup var store: StoreOptions

  @Flag(help: "Check records, files and lengths only; hash nothing.")
  var quick = false

  @Flag(help: "Print the result as a JSON object.")
  var json = false

  func run() async throws {
    let store = try store.open()
    let hashed = Atomic64()
    let line = ProgressLine { "\(humanBytes(hashed.value)) hashed" }
    let result: StoreVerification
    do {
      defer { line.finish() }
      result = try store.verify(
        rehash: !quick,
        progress: { hashed.add(UInt64(clamping: $0)) },
        report: { note("castore: \($0)") }
      )
    }
    if json {
      try Output.line(
        JSON.object([
          ("blobs", .integer(result.blobs)), ("blobBytes", .integer(result.blobBytes)),
          ("directories", .integer(result.directories)), ("roots", .integer(result.roots)),
          ("problems", .integer(result.problems)),
        ]).text
      )
    } else {
      try Output.line(
        "\(result.blobs) blobs (\(humanBytes(result.blobBytes))), \(result.directories) "
          + "directories, \(result.roots) roots: \(result.problems) problems"
      )
    }
    if result.problems > 0 { throw ExitCode.failure }
  }
}

/// A counter that one thread adds to and another shows.
final class Atomic64: Sendable {
  private let count = Atomic<UInt64>(0)

  var value: UInt64 { count.load(ordering: .relaxed) }

  func add(_ amount: UInt64) {
    count.wrappingAdd(amount, ordering: .relaxed)
  }
}
