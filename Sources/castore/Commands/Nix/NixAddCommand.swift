import ArgumentParser
import Castore
import CastoreStorage
import FileTree
import Glibc
import NixCompat
import NixStore
import Platform

struct NixAddCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "add",
    abstract: "Store files and folders as store paths, as nix-store --add does.",
    discussion: """
      Prints the store path of each, which follows from its name and its NAR, once it is durable. \
      A path that is there already is not stored again.
      """
  )

  @OptionGroup var store: StoreOptions
  @OptionGroup var signing: SigningOptions

  @Option(help: "The name in the store path; by default the last part of the path.")
  var name: String?

  @Argument(help: "What to store.")
  var paths: [Arguments<String>]

  func validate() throws {
    if name != nil && paths.flatMap(\.values).count > 1 {
      throw ValidationError("--name goes with one path")
    }
  }

  func run() async throws {
    // Names are settled before anything is read.
    let adds = try paths.flatMap(\.values).map(ArgumentBytes.bytes).map {
      (path: $0, name: try storeName(for: $0))
    }
    let services = try await store.openServices(create: true)
    let infos = try signing.pathInfos(of: services)
    let calculator = services.calculator
    let importing = CancellableImport()
    try ProcessSignals.cancel { importing.cancel() }
    for (path, name) in adds {
      let node = try importing.run(path, into: services.makeSink())
      let summary = try await calculator.calculateNAR(of: node)
      let address = ContentAddress.recursive(NixHash(summary.sha256))
      let storePath = try NixCompat.StorePath(name: name, address: address)
      let known = try await infos.get(storePath.digest)
      // What is known already may have references and signatures; it is put again to be signed.
      if known == nil || signing.secretKeyFile != nil {
        let info = PathInfo(
          storePath: storePath,
          node: node,
          narSize: summary.size,
          narHash: summary.sha256,
          contentAddress: address
        )
        _ = try await infos.put(known ?? info)
      }
      try Output.line(storePath.absolutePath)
    }
    await services.settle()
  }

  private func storeName(for path: [UInt8]) throws -> String {
    do {
      return try NixCompat.StorePath.name(forPath: name.map { [UInt8]($0.utf8) } ?? path)
    } catch {
      let hint = name == nil ? "; give a name with --name" : ""
      throw CommandError("\(escaped(path)) cannot be a store path: \(error)\(hint)")
    }
  }
}

/// Imports one tree after the other, until it is cancelled.
final class CancellableImport: Sendable {
  private let state = Guarded((current: TreeImporter?.none, isCancelled: false))

  /// Stops the import that is under way, and every later one.
  func cancel() {
    let current = state.withLock { state in
      state.isCancelled = true
      return state.current
    }
    current?.cancel()
  }

  /// Imports the file, folder or link at a path, and waits until it is durable.
  func run(_ path: [UInt8], into sink: any TreeSink, shows name: String? = nil) throws -> Node {
    let importer = TreeImporter(into: sink)
    let isCancelled = state.withLock { state in
      state.current = importer
      return state.isCancelled
    }
    if isCancelled { importer.cancel() }
    let title = name ?? escaped(path)
    let line = ProgressLine {
      let done = importer.progress.snapshot
      return "\(title): \(done.files) files, \(humanBytes(done.bytes))"
    }
    defer { line.finish() }
    return try importer.run(path).node
  }
}
