import ArgumentParser
import Castore
import CastoreStorage
import Glibc
import NixCompat
import NixStore

struct NixCopyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "copy",
    abstract: "Store a closure from the Nix store of this machine.",
    discussion: """
      Takes what `nix path-info --json --recursive` or the exportReferencesGraph of a structured \
      derivation says about the paths. Each is stored after all that it refers to; one that is \
      there already is skipped. A tree whose NAR has not the stated size and hash is an error, \
      and is not recorded. Prints each path that was stored.
      """
  )

  @OptionGroup var store: StoreOptions
  @OptionGroup var signing: SigningOptions

  @Option(help: ArgumentHelp("The JSON; - is standard input.", valueName: "file"))
  var fromClosure: String

  @Option(
    help: ArgumentHelp(
      "Where the paths lie: below this folder's nix/store, as with Nix's local?root=.",
      valueName: "folder"
    )
  )
  var root = "/"

  func run() async throws {
    let text = try readAll(of: fromClosure, limit: 1 << 30)
    let document = try ClosureDocument(parsing: text)
    let services = try await store.openServices(create: true)
    let infos = try signing.pathInfos(of: services)
    let calculator = services.calculator
    let importing = CancellableImport()
    try ProcessSignals.cancel { importing.cancel() }
    var base = ArgumentBytes.bytes(root)
    while base.last == UInt8(ascii: "/") { base.removeLast() }
    for (place, entry) in document.entries.enumerated() {
      let path = entry.storePath
      if try await infos.get(path.digest)?.storePath == path { continue }
      let title = "\(place + 1)/\(document.entries.count) \(path)"
      let node = try importing.run(
        base + [UInt8](path.absolutePath.utf8),
        into: services.makeSink(),
        shows: title
      )
      let summary = try await calculator.calculateNAR(of: node)
      _ = try await infos.put(try entry.pathInfo(node, summary))
      try Output.line(path.absolutePath)
    }
    await services.settle()
  }
}
