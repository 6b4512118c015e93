internal import Castore
internal import Glibc
internal import Platform
internal import Synchronization

/// Writes one tree: depth first, without recursion.
struct TreeWriter {
  private let exporter: TreeExporter
  private let destination: [UInt8]
  private var files: FileWriter
  private var open = FolderStack()
  private var frames: [Frame] = []

  private struct Frame {
    var name: PathComponent
    var entries: [NamedNode]
    var next = 0
  }

  init(exporter: TreeExporter, destination: [UInt8]) {
    self.exporter = exporter
    self.destination = destination
    files = FileWriter(exporter: exporter)
  }

  /// Writes a node and all below it.
  mutating func write(
    _ root: Node,
    in parent: FolderHandle,
    as name: PathComponent
  ) throws(ServiceError) {
    try write(NamedNode(name: name, node: root), in: parent)
    while let place = frames.indices.last {
      try exporter.throwIfCancelled()
      let frame = frames[place]
      if frame.next == frame.entries.count {
        frames.removeLast()
        exporter.progress.directories.wrappingAdd(1, ordering: .relaxed)
        try leave()
        continue
      }
      frames[place].next += 1
      guard let folder = open.top else { preconditionFailure("the top of the stack is open") }
      try write(frame.entries[frame.next], in: folder)
    }
  }

  private mutating func write(
    _ entry: NamedNode,
    in folder: FolderHandle
  ) throws(ServiceError) {
    switch entry.node {
    case .directory(let digest, _):
      try enter(entry.name, digest, in: folder)
    case .file(let digest, let size, let isExecutable):
      do throws(ServiceError) {
        try files.write(
          digest,
          size: size,
          isExecutable: isExecutable,
          in: folder,
          as: entry.name
        )
      } catch {
        throw failed(entry.name, error)
      }
      exporter.progress.files.wrappingAdd(1, ordering: .relaxed)
    case .symlink(let target):
      // A target has no NUL byte: this ends it.
      let cTarget = target.bytes.map { CChar(bitPattern: $0) } + [0]
      if entry.name.withCString({ symlinkat(cTarget, folder.number, $0) }) != 0 {
        throw ServiceError.system(.current, "create the link \(path(entry.name))")
      }
      exporter.progress.symlinks.wrappingAdd(1, ordering: .relaxed)
    }
  }

  private mutating func enter(
    _ name: PathComponent,
    _ digest: B3Digest,
    in parent: FolderHandle
  ) throws(ServiceError) {
    let found: Directory?
    do throws(ServiceError) {
      found = try exporter.directories.directoryLocal(digest)
    } catch {
      throw failed(name, error)
    }
    guard let directory = found else { throw failed(name, .directoryNotFound(digest)) }
    if name.withCString({ mkdirat(parent.number, $0, 0o755) }) != 0 {
      throw ServiceError.system(.current, "create \(path(name))")
    }
    do throws(Errno) {
      open.push(try parent.open(name))
    } catch {
      throw ServiceError.system(error, "open \(path(name))")
    }
    frames.append(Frame(name: name, entries: directory.entries))
  }

  private mutating func leave() throws(ServiceError) {
    let isSame: Bool
    do throws(Errno) {
      isSame = try open.pop()
    } catch {
      throw ServiceError.system(error, "go back to \(path(nil))")
    }
    if !isSame { throw ServiceError(.io, "\(path(nil)) was moved while it was written") }
  }

  private func failed(_ name: PathComponent, _ error: ServiceError) -> ServiceError {
    ServiceError(error.code, "cannot write \(path(name)): \(error.message)", cause: error.cause)
  }

  /// Where an entry of the top folder will stand, for messages.
  private func path(_ name: PathComponent?) -> String {
    var path = destination
    // The first of all names is the draft's, which stands for the destination.
    let names = frames.map(\.name) + (name.map { [$0] } ?? [])
    for name in names.dropFirst() {
      path.append(UInt8(ascii: "/"))
      path += name.bytes
    }
    return escaped(path)
  }
}
