import ArgumentParser
import Castore
import CastoreStorage
import Glibc
import NixStore
import Platform

struct NixDumpCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dump",
    abstract: "Write a stored tree as a NAR to standard output, as nix-store --dump does."
  )

  @OptionGroup var store: StoreOptions

  @Argument(help: "ROOT, ROOT/PATH or a store path.")
  var path: StorePath

  func validate() throws {
    if isatty(1) == 1 { throw ValidationError("a NAR is not for a terminal: redirect the output") }
  }

  func run() async throws {
    let services = try await store.openServices()
    let node = try await path.resolve(in: services)
    if let store = services.local {
      do {
        try NARRenderer(blobs: store, directories: store).render(node, toDescriptor: 1)
      } catch {
        if let cause = error.cause as? Errno, cause.code == EPIPE { throw ReaderGone() }
        throw error
      }
    } else {
      try await services.renderNAR(node) { bytes in try Output.write(bytes) }
      await services.settle()
    }
  }
}
