import ArgumentParser
import Castore
import CastoreStorage
import Synchronization

struct VerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check that everything that is named is there, and is what it should be; repair it.",
    discussion: """
      Reads and hashes everything. Names each problem, and ends with status 1 if there is one left.

      With --repair, damaged files are moved into the folder 'aside' of the store, what is whole in \
      them is kept, and what is missing is fetched from another store, if one is given.

      Example: castore verify --repair --from grpc+http://other:8000
      """
  )

  @OptionGroup var store: StoreOptions

  @Flag(help: "Check tables, files and lengths only; hash nothing.")
  var quick = false

  @Flag(help: "Set aside what is damaged.")
  var repair = false

  @Option(help: ArgumentHelp("With --repair: the store to fetch from.", valueName: "url"))
  var from: String?

  @Flag(help: "Print the result as a JSON object.")
  var json = false

  func validate() throws {
    if from != nil && !repair { throw ValidationError("--from goes with --repair") }
  }

  func run() async throws {
    let store = try store.open()
    if repair && store.isReadOnly {
      throw CommandError("the store \(store.path) cannot be written to")
    }
    var result = try verify(store)
    var aside: [String] = []
    if repair && result.problems > 0 {
      aside = try store.setDamageAside().aside
      for path in aside { note("castore: set aside as \(path)") }
      let missing = try await complete(store)
      result = try verify(store)
      note("castore: \(aside.count) files set aside, \(missing) objects still missing")
    }
    if json {
      try Output.line(
        JSON.object([
          ("blobs", .integer(result.blobs)), ("blobBytes", .integer(result.blobBytes)),
          ("directories", .integer(result.directories)), ("packs", .integer(result.packs)),
          ("names", .integer(result.names)), ("problems", .integer(result.problems)),
          ("setAside", .integer(UInt64(aside.count))),
        ]).text
      )
    } else {
      try Output.line(
        "\(result.blobs) blobs (\(humanBytes(result.blobBytes))), \(result.directories) "
          + "directories, \(result.packs) packs, \(result.names) names: "
          + "\(result.problems) problems"
      )
    }
    if result.problems > 0 { throw ExitCode.failure }
  }

  private func verify(_ store: LocalStore) throws -> StoreVerification {
    let hashed = Atomic64()
    let line = ProgressLine { "\(humanBytes(hashed.value)) hashed" }
    defer { line.finish() }
    return try store.verify(
      rehash: !quick,
      progress: { hashed.add(UInt64(clamping: $0)) },
      report: { note("castore: \($0)") }
    )
  }

  /// Fetches what names need and is not there.
  private func complete(_ store: LocalStore) async throws -> UInt64 {
    guard let from else { return try await store.completeTrees { (_, _, _) in false } }
    let source = try await self.store.openOther(from, create: false, from: "--from")
    let fetcher = ObjectFetcher(from: source, into: store)
    let missing = try await store.completeTrees { (isDirectory, digest, name) in
      try await fetcher.fetch(isDirectory: isDirectory, digest, for: name)
    }
    await source.settle()
    return missing
  }
}

/// Brings single objects from one store into another, where directories come after what they refer to.
private struct ObjectFetcher {
  let source: Services
  let store: LocalStore

  init(from source: Services, into store: LocalStore) {
    self.source = source
    self.store = store
  }

  /// - Returns: Whether the object, with all below it, is there now.
  func fetch(
    isDirectory: Bool,
    _ digest: B3Digest,
    for name: String
  ) async throws -> Bool {
    if !isDirectory { return try await fetchBlob(digest, for: name) }
    guard let directory = try await source.directories.get(digest) else {
      note("castore: \(name) needs directory \(digest), which \(source.name) does not have either")
      return false
    }
    for entry in directory.entries {
      switch entry.node {
      case .symlink: continue
      case .file(let blob, _, _):
        if try store.holdsLocal(blob) { continue }
        if try await !fetchBlob(blob, for: name) { return false }
      case .directory(let child, _):
        if try store.directoryLocal(child) != nil { continue }
        if try await !fetch(isDirectory: true, child, for: name) { return false }
      }
    }
    _ = try await store.put(directory)
    return true
  }

  private func fetchBlob(_ digest: B3Digest, for name: String) async throws -> Bool {
    guard let reader = try await source.blobs.openRead(digest) else {
      note("castore: \(name) needs blob \(digest), which \(source.name) does not have either")
      return false
    }
    let writer = try await store.openWrite()
    var offset: UInt64 = 0
    while offset < reader.size {
      let bytes = try await reader.read(at: offset, count: 1 << 20)
      if bytes.isEmpty { break }
      try await writer.write(bytes)
      offset += UInt64(bytes.count)
    }
    return try await writer.close() == digest
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
