import ArgumentParser
import Castore
import Glibc
import NixStore
import Platform

extension ImportCommand {
  /// Imports the tree of an archive.
  func importArchive(_ path: String) async throws {
    let givenName = try name.map(parseRootName)
    let services = try await store.openServices(create: true)
    let input = try openInput(path)
    let sink = try services.makeSink()
    try ProcessSignals.cancel { sink.abandon() }
    var options = TarIngester.Options()
    options.sizeRule = directorySizeRule.rule
    if let stripComponents {
      options.top = .all(stripping: stripComponents)
    } else if givenName != nil {
      options.top = .singleOrAll
    }
    let progress = FileOffset(input.number)
    let line = ProgressLine {
      progress.value.map { "\(path): \(humanBytes($0)) read" } ?? "\(path): reading"
    }
    let root: (name: PathComponent?, node: Node)
    do {
      defer { line.finish() }
      root = try TarIngester(into: sink, options: options).ingest(descriptor: input.number)
      try sink.flush()
    }
    let name = try givenName ?? root.name ?? Self.name(ofArchive: path)
    try await record(name, root.node, replace: replace, in: services)
    await services.settle()
    if json {
      let member = JSON.bytes("name", name.bytes)
      try Output.line(JSON.array([.object([member] + JSON.members(of: root.node))]).text)
    } else {
      try Output.line("\(name)\t\(reference(root.node))")
    }
  }

  /// The file's name without `.tar` and what follows.
  private static func name(ofArchive path: String) throws -> PathComponent {
    let bytes = ArgumentBytes.bytes(path)
    var name = bytes.split(separator: UInt8(ascii: "/")).last.map { [UInt8]($0) } ?? []
    for suffix in [".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst"] {
      let suffix = [UInt8](suffix.utf8)
      let place = name.indices.dropLast(suffix.count - 1).last { start in
        name[start...].starts(with: suffix)
      }
      if let place, place > 0 {
        name = [UInt8](name[..<place])
        break
      }
    }
    guard path != "-", let component = try? PathComponent(name) else {
      throw CommandError("the archive holds no name for its tree; give one with --name")
    }
    return component
  }
}

/// How far a file was read.
private struct FileOffset: Sendable {
  // The descriptor outlives the progress line.
  private let number: CInt

  init(_ number: CInt) {
    self.number = number
  }

  /// `nil` for a pipe.
  var value: UInt64? { UInt64(exactly: lseek(number, 0, SEEK_CUR)) }
}
