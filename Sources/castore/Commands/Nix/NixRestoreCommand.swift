import ArgumentParser
import Castore
import Glibc
import NixStore

struct NixRestoreCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore",
    abstract: "Store the tree of a NAR on standard input, and name it as a root.",
    discussion: """
      Prints the name and digest, separated by a tab, once all is durable. Bad input is an error \
      that says where, and nothing is named. `castore export` then writes the tree to the disk.
      """
  )

  @OptionGroup var store: StoreOptions

  @Flag(help: "Re-point a name that stands for something else.")
  var replace = false

  @Option(
    help: ArgumentHelp("How directory sizes count: specified or snix.", valueName: "rule")
  )
  var directorySizeRule = SizeRule.specified

  @Flag(help: "Print a JSON object.")
  var json = false

  @Argument(help: "The root's name.")
  var name: String

  func validate() throws {
    if isatty(0) == 1 { throw ValidationError("a NAR is expected on standard input") }
  }

  func run() async throws {
    let name = try parseRootName(name)
    let services = try await store.openServices(create: true)
    let sink = try services.makeSink()
    try ProcessSignals.cancel { sink.abandon() }
    var options = NARIngester.Options()
    options.sizeRule = directorySizeRule.rule
    options.hashes = false
    let input = StandardInput()
    let line = ProgressLine { "\(name): \(humanBytes(input.byteCount)) read" }
    let node: Node
    do {
      defer { line.finish() }
      node = try NARIngester(into: sink, options: options).ingest(input.source).node
      try sink.flush()
    }
    try await record(name, node, replace: replace, in: services)
    await services.settle()
    if json {
      let member = JSON.bytes("name", name.bytes)
      try Output.line(JSON.object([member] + JSON.members(of: node)).text)
    } else {
      try Output.line("\(name)\t\(reference(node))")
    }
  }
}
