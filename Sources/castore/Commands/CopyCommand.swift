import ArgumentParser
import Castore
import CastoreComposition
import Glibc
import NixCompat
import NixStore
import Platform

struct CopyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "copy",
    abstract: "Bring roots with all they refer to from one store to another.",
    discussion: """
      Only what is missing there travels, and the name is recorded last; a store path comes after \
      the store paths that it refers to, once its NAR was compared with the hash that is stated. Broken off and repeated, \
      a copy goes on where it was. Prints the name and digest of each root, separated by a tab, once \
      it is there. Either store may be on this machine or elsewhere.
      """
  )

  @OptionGroup var store: StoreOptions

  @Option(help: ArgumentHelp("The store to copy to.", valueName: "url"))
  var to: String

  @Flag(help: "Re-point names that stand for something else there.")
  var replace = false

  @Flag(help: "Print one JSON array.")
  var json = false

  @Argument(help: "ROOT or ROOT/PATH of each tree; what is below a root is named by its last part.")
  var paths: [Arguments<StorePath>]

  func run() async throws {
    let source = try await store.openServices()
    let target = try await store.openOther(to, create: true, from: "--to")
    let copier = TreeCopier(from: source.opened, to: target.opened)
    let work = Guarded<Task<Void, any Error>?>(nil)
    let isStopped = Guarded(false)
    try ProcessSignals.cancel {
      isStopped.withLock { $0 = true }
      work.withLock { $0 }?.cancel()
    }
    let records = PathInfoRecorder(in: target.pathInfos, calculator: target.calculator)
    let output = JSONArrayOutput()
    for item in try await items(in: source) {
      let (name, node) = (item.name, item.node)
      let before = copier.progress
      let line = ProgressLine {
        let now = copier.progress
        return "\(name): \(now.blobs - before.blobs) files looked at, "
          + "\(now.blobsSent - before.blobsSent) copied, "
          + "\(humanBytes(now.bytesSent - before.bytesSent))"
      }
      do {
        defer { line.finish() }
        let task = Task.detached { try await copier.copy(node) }
        work.withLock { $0 = task }
        if isStopped.withLock({ $0 }) { task.cancel() }
        try await task.value
      }
      try await record(item, in: target, records)
      let now = copier.progress
      let sent = (now.blobsSent - before.blobsSent, now.directoriesSent - before.directoriesSent)
      note(
        "castore: \(name): \(sent.0) of \(now.blobs - before.blobs) files and \(sent.1) of "
          + "\(now.directories - before.directories) directories were missing, "
          + "\(humanBytes(now.bytesSent - before.bytesSent)) copied"
      )
      if json {
        let members =
          [JSON.bytes("name", name.bytes)] + JSON.members(of: node) + [
            ("blobs", .integer(now.blobs - before.blobs)), ("blobsSent", .integer(sent.0)),
            ("directoriesSent", .integer(sent.1)),
            ("bytesSent", .integer(now.bytesSent - before.bytesSent)),
          ]
        try output.add(.object(members))
      } else {
        try Output.line("\(name)\t\(reference(node))")
      }
    }
    if json { try output.finish() }
    await source.settle()
    await target.settle()
  }

  private struct Item {
    var name: PathComponent
    var node: Node
    /// What is known about it, if it is a store path.
    var info: PathInfo?
  }

  /// What is to be copied, in order.
  private func items(in source: Services) async throws -> [Item] {
    var items: [Item] = []
    var seen: Set<NixCompat.StorePath> = []
    for path in paths.flatMap(\.values) {
      guard let info = try await source.pathInfo(named: path) else {
        let node = try await path.resolve(in: source)
        items.append(Item(name: path.components.last ?? path.root, node: node))
        continue
      }
      for info in try await source.closure(of: info) where seen.insert(info.storePath).inserted {
        items.append(
          Item(name: try PathComponent(info.storePath.baseName), node: info.node, info: info)
        )
      }
    }
    return items
  }

  private func record(
    _ item: Item,
    in target: Services,
    _ records: PathInfoRecorder
  ) async throws {
    if let info = item.info {
      do throws(ServiceError) {
        try await records.record(info, replace: replace)
      } catch {
        guard error.code == .invalidArgument, !replace else { throw error }
        throw CommandError("\(error) (see --replace)")
      }
      return
    }
    let name = item.name
    do {
      try await castore.record(name, item.node, replace: replace, in: target)
    } catch let error as ServiceError where error.code == .unsupported {
      // Other servers of the protocol keep no names.
      note("castore: \(name): everything is there, but \(target.name) keeps no names")
    }
  }
}
