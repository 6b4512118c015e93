import ArgumentParser
import Castore
import CastoreStorage
import FileTree
import Glibc
import Platform

struct ImportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Store files and folders, and name each as a root.",
    discussion: """
      Prints the name and digest of each root, separated by a tab, once it is durable. Links are \
      stored as links. A name that stands for something else already is kept, and an error, \
      unless --replace is given.

      The root of a tar archive is its single entry at the top; if the archive has an entry for \
      '.', it is all of it, and named after the file. Several entries at the top need --name, and \
      become one tree. With --strip-components the tree is all that is left of the archive, also \
      where that is a single entry.
      """
  )

  @OptionGroup var store: StoreOptions

  @Option(help: "The root's name; by default the last part of the path.")
  var name: String?

  @Flag(help: "Re-point names that stand for something else.")
  var replace = false

  @Flag(help: "Leave out sockets, devices and fifos, with a warning; otherwise they are an error.")
  var skipSpecial = false

  @Option(
    help: ArgumentHelp(
      "How directory sizes count: specified, or snix as Snix and Tvix since 2024 compute them.",
      valueName: "rule"
    )
  )
  var directorySizeRule = SizeRule.specified

  @Option(
    help: ArgumentHelp(
      "Import the tree of a tar archive, also a compressed one; - is standard input.",
      valueName: "file"
    )
  )
  var tar: String?

  @Option(
    help: ArgumentHelp(
      """
      Leave out so many components at the start of each path in the archive, as tar does; 0 takes \
      all of it.
      """,
      valueName: "n"
    )
  )
  var stripComponents: Int?

  @Option(
    help: ArgumentHelp(
      "Import the paths that stand in a file, too, each ended by a newline, or by NUL where there is one "
        + "at all (find -print0); - is standard input.",
      valueName: "file"
    )
  )
  var filesFrom: String?

  @Flag(help: "Print one JSON array.")
  var json = false

  @Argument(help: "What to import; - stands for the paths on standard input, as with --files-from.")
  var paths: [Arguments<String>] = []

  func validate() throws {
    let count = paths.flatMap(\.values).count
    if tar != nil {
      if count > 0 || filesFrom != nil {
        throw ValidationError("--tar takes one archive, and no paths beside it")
      }
      if skipSpecial { throw ValidationError("--skip-special does not go with --tar") }
    } else if count == 0 && filesFrom == nil {
      throw ValidationError(
        "nothing to import: give paths, a list of them with --files-from, or an archive with --tar"
      )
    }
    if let stripComponents {
      if tar == nil { throw ValidationError("--strip-components goes with --tar") }
      if stripComponents < 0 { throw ValidationError("--strip-components must not be negative") }
    }
    if name != nil && count > 1 { throw ValidationError("--name goes with one path") }
    if filesFrom == "-" && paths.flatMap(\.values).contains("-") {
      throw ValidationError("standard input can be read once only")
    }
  }

  func run() async throws {
    if let tar { return try await importArchive(tar) }
    // Names are settled before anything is read: a bad one must not show up after an hour.
    let imports = try givenPaths().map { (path: $0, name: try defaultName(for: $0)) }
    if name != nil && imports.count > 1 { throw ValidationError("--name goes with one path") }
    var seen: Set<PathComponent> = []
    for (path, name) in imports where !seen.insert(name).inserted {
      throw ValidationError("two paths would be named '\(name)', one of them \(escaped(path))")
    }
    let services = try await store.openServices(create: true)
    let current = Guarded<TreeImporter?>(nil)
    let isStopped = Guarded(false)
    try ProcessSignals.cancel {
      isStopped.withLock { $0 = true }
      current.withLock { $0 }?.cancel()
    }
    let output = JSONArrayOutput()
    for (path, name) in imports {
      var options = TreeImporter.Options()
      options.sizeRule = directorySizeRule.rule
      options.skipsSpecialFiles = skipSpecial
      if let local = services.local { options.skip(folderAt: local.path) }
      let importer = TreeImporter(into: try services.makeSink(), options: options) { path, reason in
        switch reason {
        case .specialFile: note("castore: skipping \(path): not a file, folder or link")
        case .excludedFolder: note("castore: skipping \(path): the store itself")
        }
      }
      current.withLock { $0 = importer }
      if isStopped.withLock({ $0 }) { importer.cancel() }
      let node = try run(importer, path, name).node
      try await record(name, node, replace: replace, in: services)
      if json {
        let member = JSON.bytes("name", name.bytes)
        try output.add(.object([member] + JSON.members(of: node)))
      } else {
        try Output.line("\(name)\t\(reference(node))")
      }
    }
    if json { try output.finish() }
    await services.settle()
  }

  private func run(
    _ importer: TreeImporter,
    _ path: [UInt8],
    _ name: PathComponent
  ) throws -> TreeImporter.Result {
    let began = monotonicSeconds()
    let summary: @Sendable () -> String = {
      let done = importer.progress.snapshot
      let seconds = max(monotonicSeconds() - began, 0.001)
      let rate = humanBytes(UInt64(Double(done.bytes) / seconds))
      return "\(name): \(done.files) files, \(done.directories) folders, "
        + "\(humanBytes(done.bytes)), \(rate)/s"
    }
    let line = ProgressLine(summary)
    defer { line.finish() }
    return try importer.run(path)
  }

  /// The paths of the command line and of the lists that it names, in order.
  private func givenPaths() throws -> [[UInt8]] {
    var result: [[UInt8]] = []
    for argument in paths.flatMap(\.values) {
      if argument == "-" {
        result += try PathList.read("-")
      } else {
        result.append(ArgumentBytes.bytes(argument))
      }
    }
    if let filesFrom { result += try PathList.read(filesFrom) }
    return result
  }

  private func defaultName(for path: [UInt8]) throws -> PathComponent {
    if let name { return try parseRootName(name) }
    var parts = path.split(separator: UInt8(ascii: "/")).map { [UInt8]($0) }
    while parts.last == [UInt8(ascii: ".")] { parts.removeLast() }
    if let last = parts.last, last != Array("..".utf8) { return try PathComponent(last) }
    // `.`, `..` and the like: the name that the folder has.
    guard let real = realpath(path.map { CChar(bitPattern: $0) } + [0], nil) else {
      throw CommandError("cannot look at \"\(escaped(path))\": \(Errno.current)")
    }
    defer { free(real) }
    let bytes = UnsafeRawBufferPointer(start: real, count: strlen(real))
    let absolute = bytes.split(separator: UInt8(ascii: "/"))
    guard let last = absolute.last else {
      throw ValidationError("\(escaped(path)) has no name; give one with --name")
    }
    return try PathComponent([UInt8](last))
  }
}

/// The rules on the command line.
enum SizeRule: String, ExpressibleByArgument, CaseIterable {
  case specified
  case snix

  var rule: DirectorySizeRule {
    switch self {
    case .specified: .specified
    case .snix: .snix
    }
  }
}
