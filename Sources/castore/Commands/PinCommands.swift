import ArgumentParser
import Castore
import CastoreStorage

struct PinCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pin",
    abstract: "Keep a tree from being collected, whatever happens to its name.",
    discussion: "Example: castore roots pin release-1 --note 'shipped in May'"
  )

  @OptionGroup var store: StoreOptions

  @Option(help: "Why, for those who list pins.")
  var note = ""

  @Argument(help: "ROOT or ROOT/PATH of each tree.")
  var paths: [StorePath]

  func run() async throws {
    let store = try store.open()
    for path in paths {
      let node = try path.resolve(in: store)
      _ = try store.pin(node, note: [UInt8](note.utf8))
      try Output.line("\(path)\t\(reference(node))")
    }
  }
}

struct UnpinCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unpin",
    abstract: "Take a pin away. What it kept stays until it is collected."
  )

  @OptionGroup var store: StoreOptions

  @Argument(help: "ROOT or ROOT/PATH of each tree, or its digest as 'pins' prints it.")
  var paths: [String]

  func run() async throws {
    let store = try store.open()
    for text in paths {
      let node = try pinned(text, in: store)
      if try !store.unpin(node) { throw CommandError("'\(escaped(text))' is not pinned") }
    }
  }

  /// A tree whose name is gone is still known by its digest.
  private func pinned(_ text: String, in store: LocalStore) throws -> Node {
    var found: Node?
    try forEachPin(of: store) { pin in
      if reference(pin.node) == text { found = pin.node }
    }
    if let found { return found }
    guard let path = StorePath(argument: text) else {
      throw ValidationError("'\(escaped(text))' is neither a root nor the digest of a pin")
    }
    return try path.resolve(in: store)
  }
}

struct PinsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pins",
    abstract: "List what is pinned, with notes and times."
  )

  @OptionGroup var store: StoreOptions

  @Flag(help: "Print one JSON array.")
  var json = false

  func run() async throws {
    let store = try store.open()
    let output = JSONArrayOutput()
    try forEachPin(of: store) { pin in
      if json {
        let members =
          JSON.members(of: pin.node) + [
            JSON.bytes("note", pin.note), ("time", .integer(UInt64(clamping: pin.time))),
          ]
        try output.add(.object(members))
      } else {
        try Output.line("\(reference(pin.node))\t\(pin.time)\t\(escaped(pin.note))")
      }
    }
    if json { try output.finish() }
  }
}

private func forEachPin(of store: LocalStore, _ body: (Pin) throws -> Void) throws {
  var last: Node?
  while true {
    let pins = try store.pins(after: last, limit: 256)
    for pin in pins { try body(pin) }
    if pins.count < 256 { return }
    last = pins.last?.node
  }
}
