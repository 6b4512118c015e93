internal import Castore
internal import Glibc
internal import Platform
internal import Synchronization

/// The walk of an import: depth first, without recursion, files handed to the workers as they are
/// found, subfolders afterwards.
struct TreeWalk {
  private let importer: TreeImporter
  private var open = FolderStack()
  private var frames: [Frame] = []

  private struct Frame {
    var folder: ImportedFolder
    /// Still to be walked.
    var subfolders: [PathComponent] = []
  }

  init(importer: TreeImporter) {
    self.importer = importer
  }

  mutating func run(_ root: FolderHandle) throws(ServiceError) {
    try enter(root, ImportedFolder(name: nil, parent: nil))
    while let place = frames.indices.last {
      let folder = frames[place].folder
      guard let name = frames[place].subfolders.popLast() else {
        try importer.finish(folder, nil)
        frames.removeLast()
        try leave()
        continue
      }
      guard let handle = open.top else { preconditionFailure("the top of the stack is open") }
      let child: FolderHandle
      do throws(Errno) {
        child = try handle.open(name)
      } catch {
        throw ServiceError.system(error, "open \(importer.describe(folder, name))")
      }
      if child.id == importer.options.skippedFolder {
        importer.onSkip(importer.describe(folder, name), .excludedFolder)
        continue
      }
      folder.expectEntry()
      try enter(child, ImportedFolder(name: name, parent: folder))
    }
  }

  /// Lets go of everything from the bottom up, so that no long chain of folders is freed at once.
  mutating func unwind() {
    while frames.popLast() != nil {}
  }

  private mutating func enter(
    _ handle: FolderHandle,
    _ folder: ImportedFolder
  ) throws(ServiceError) {
    frames.append(Frame(folder: folder))
    open.push(handle)
    var subfolders: [PathComponent] = []
    var reader: FolderReader
    do throws(Errno) {
      reader = try FolderReader(handle)
    } catch {
      throw ServiceError.system(error, "list \(importer.describe(folder, nil))")
    }
    while true {
      let entry: (name: [UInt8], type: UInt8)?
      do throws(Errno) {
        entry = try reader.next()
      } catch {
        throw ServiceError.system(error, "list \(importer.describe(folder, nil))")
      }
      guard let entry else { break }
      let name: PathComponent
      do throws(PathComponentError) {
        name = try PathComponent(entry.name)
      } catch {
        throw ServiceError(.invalidArgument, "in \(importer.describe(folder, nil)): \(error)")
      }
      if try meet(name, type: entry.type, in: folder, handle) { subfolders.append(name) }
    }
    frames[frames.count - 1].subfolders = subfolders
  }

  /// Deals with one entry.
  ///
  /// - Returns: Whether it is a folder, to be walked later.
  private func meet(
    _ name: PathComponent,
    type: UInt8,
    in folder: ImportedFolder,
    _ handle: FolderHandle
  ) throws(ServiceError) -> Bool {
    switch try kind(of: name, type: type, in: folder, handle) {
    case S_IFDIR:
      try importer.queue.throwFailure()
      return true
    case S_IFREG:
      folder.expectEntry()
      try importer.queue.push(ImportJob(folder: folder, handle: handle, name: name))
    case S_IFLNK:
      let node = try name.withCString { (cName) throws(ServiceError) in
        try importer.readLink(
          handle.number,
          cName,
          describe: { importer.describe(folder, name) }
        )
      }
      folder.add(NamedNode(name: name, node: node))
    default:
      let path = importer.describe(folder, name)
      if !importer.options.skipsSpecialFiles { throw importer.specialFileError(path) }
      importer.progress.skipped.wrappingAdd(1, ordering: .relaxed)
      importer.onSkip(path, .specialFile)
    }
    return false
  }

  /// The kind of an entry, as in `st_mode`.
  private func kind(
    of name: PathComponent,
    type: UInt8,
    in folder: ImportedFolder,
    _ handle: FolderHandle
  ) throws(ServiceError) -> mode_t {
    switch Int(type) {
    case Int(DT_DIR): return S_IFDIR
    case Int(DT_REG): return S_IFREG
    case Int(DT_LNK): return S_IFLNK
    case Int(DT_UNKNOWN): break
    default: return S_IFIFO
    }
    var status = stat()
    let code = name.withCString { fstatat(handle.number, $0, &status, AT_SYMLINK_NOFOLLOW) }
    if code != 0 {
      throw ServiceError.system(.current, "look at \(importer.describe(folder, name))")
    }
    return status.st_mode & S_IFMT
  }

  private mutating func leave() throws(ServiceError) {
    let isSame: Bool
    do throws(Errno) {
      isSame = try open.pop()
    } catch {
      let path = frames.last.map { importer.describe($0.folder, nil) } ?? "the root"
      throw ServiceError.system(error, "go back to \(path)")
    }
    if !isSame {
      let path = frames.last.map { importer.describe($0.folder, nil) } ?? "the root"
      throw ServiceError(.io, "\(path) was moved while it was read; nothing is recorded, try again")
    }
  }
}
