public import Castore
internal import Glibc
internal import Platform
internal import Synchronization

/// Reads a tree from the disk and stores it.
///
/// Links are not followed, not even at the root. Each file is read once, by one of several threads,
/// while the calling thread walks; memory is bounded by the entries of the folders on the way.
/// Everything is reached through open folders, so that moving a part of the tree meanwhile cannot
/// lead the walk elsewhere. For one import.
public final class TreeImporter: Sendable {
  /// How to import.
  public struct Options: Sendable {
    /// How the sizes of directories are computed.
    public var sizeRule = DirectorySizeRule.specified
    /// Whether sockets, devices and fifos are left out. Otherwise they are an error.
    public var skipsSpecialFiles = false
    /// A folder that is left out when the walk comes to it, as `skip(folderAt:)` sets it.
    var skippedFolder: FileID?
    /// How many threads read files; one for each core by default.
    public var workers = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))

    /// The defaults.
    public init() {}

    /// Leaves a folder out, by whatever name the walk comes to it: the store that is imported into.
    public mutating func skip(folderAt path: String) {
      var status = stat()
      if stat(path, &status) == 0 { skippedFolder = FileID(status) }
    }
  }

  /// Why something is left out.
  public enum SkipReason: Hashable, Sendable {
    /// It is a socket, device or fifo.
    case specialFile
    /// It is the folder that `Options.skip(folderAt:)` named.
    case excludedFolder
  }

  /// What an import found.
  public struct Result: Sendable {
    /// What the tree's root is.
    public var node: Node
    /// What was read.
    public var statistics: TreeProgress.Snapshot
  }

  /// How far the import is.
  public let progress = TreeProgress()

  let sink: any TreeSink
  let options: Options
  let onSkip: @Sendable (_ path: String, _ reason: SkipReason) -> Void
  let queue = ImportQueue()
  /// The root's node, once all of the tree is stored.
  let root = Guarded<Node?>(nil)
  /// The path of the root, for messages.
  let rootPath = Guarded<[UInt8]>([])

  /// Prepares an import.
  ///
  /// - Parameters:
  ///   - sink: Where everything goes. Ended when the import fails.
  ///   - onSkip: Called, on the importing thread, with the path of everything that is left out.
  public init(
    into sink: any TreeSink,
    options: Options = Options(),
    onSkip: @escaping @Sendable (_ path: String, _ reason: SkipReason) -> Void = { _, _ in }
  ) {
    self.sink = sink
    self.options = options
    self.onSkip = onSkip
  }

  /// Imports the file, folder or symbolic link at a path. Blocks until all of it is durable.
  ///
  /// - Throws: The first error, which names the path. Everything then stops; what was stored so far
  ///   is in the sink, without anything that refers to it.
  public func run(_ path: String) throws(ServiceError) -> Result {
    try run([UInt8](path.utf8))
  }

  /// Imports the file, folder or symbolic link at a path, which need not be UTF-8.
  public func run(_ path: [UInt8]) throws(ServiceError) -> Result {
    rootPath.withLock { $0 = path }
    do throws(ServiceError) {
      let node = try importRoot(path)
      try queue.throwFailure()
      try sink.flush()
      return Result(node: node, statistics: progress.snapshot)
    } catch {
      fail(error)
      // What another thread met first is the better answer than what followed from it.
      try queue.throwFailure()
      throw error
    }
  }

  /// Stops the import soon: `run` throws `.cancelled`. Safe from any thread.
  public func cancel() {
    fail(ServiceError(.cancelled, "the import was cancelled"))
  }

  func fail(_ error: ServiceError) {
    queue.fail(error)
    sink.abandon()
  }

  private func importRoot(_ path: [UInt8]) throws(ServiceError) -> Node {
    guard !path.isEmpty, !path.contains(0) else {
      throw ServiceError(.invalidArgument, "\"\(escaped(path))\" is not a path")
    }
    let cPath = path.map { CChar(bitPattern: $0) } + [0]
    var status = stat()
    if fstatat(AT_FDCWD, cPath, &status, AT_SYMLINK_NOFOLLOW) != 0 {
      throw ServiceError.system(.current, "look at \(escaped(path))")
    }
    switch status.st_mode & S_IFMT {
    case S_IFDIR:
      let number = open(cPath, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      if number == -1 { throw ServiceError.system(.current, "open \(escaped(path))") }
      return try importFolder(number, path)
    case S_IFLNK:
      return try readLink(AT_FDCWD, cPath, describe: { escaped(path) })
    case S_IFREG:
      let number = open(cPath, Self.openFlags)
      if number == -1 { throw ServiceError.system(.current, "open \(escaped(path))") }
      let reader = FileImporter(sink: sink, progress: progress, queue: queue)
      return try reader.node(of: OwnedDescriptor(adopting: number), describe: { escaped(path) })
    default:
      throw specialFileError(escaped(path))
    }
  }

  /// NONBLOCK: what was a file may be a fifo by now, which would wait for a writer.
  static let openFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC

  private func importFolder(_ number: CInt, _ path: [UInt8]) throws(ServiceError) -> Node {
    let handle: FolderHandle
    do throws(Errno) {
      handle = try FolderHandle(adopting: number)
    } catch {
      throw ServiceError.system(error, "look at \(escaped(path))")
    }
    let crew = Monitor(0)
    let count = max(1, options.workers)
    for started in 0..<count {
      do throws(Errno) {
        crew.withLock { $0 += 1 }
        _ = try JoinableThread { [self] in
          work()
          crew.withLock { $0 -= 1 }
          crew.notifyAll()
        }
      } catch {
        crew.withLock { $0 -= 1 }
        // Fewer threads do, too.
        if started == 0 { throw ServiceError.system(error, "start a thread") }
        break
      }
    }
    var walk = TreeWalk(importer: self)
    do throws(ServiceError) {
      try walk.run(handle)
    } catch {
      fail(error)
    }
    queue.end()
    crew.withLock(waitingWhile: { $0 > 0 }) { _ in }
    for job in queue.removeAll() { job.folder.dismantle() }
    walk.unwind()
    try queue.throwFailure()
    guard let node = root.withLock({ $0 }) else {
      preconditionFailure("without a failure every folder is complete, the root too")
    }
    return node
  }

  private func work() {
    let reader = FileImporter(sink: sink, progress: progress, queue: queue)
    while let job = queue.pop() {
      do throws(ServiceError) {
        let node = try reader.node(of: job, describe: { describe(job.folder, job.name) })
        try finish(job.folder, NamedNode(name: job.name, node: node))
      } catch {
        fail(error)
        job.folder.dismantle()
      }
    }
  }

  // MARK: Shared by the walk and the workers

  /// Adds an entry to a folder, or ends its walk, and stores every folder that is complete by that.
  func finish(_ folder: ImportedFolder, _ entry: NamedNode?) throws(ServiceError) {
    var (folder, entry) = (folder, entry)
    while let (entries, parent) = folder.finishEntry(entry) {
      let directory: Directory
      do throws(DirectoryError) {
        directory = try Directory(entries)
      } catch {
        throw ServiceError(
          .invalidArgument,
          "\(describe(folder, nil)) cannot be stored, it changed while it was read: \(error)"
        )
      }
      let digest = try sink.putDirectory(directory)
      progress.directories.wrappingAdd(1, ordering: .relaxed)
      let node = Node.directory(digest: digest, size: directory.size(rule: options.sizeRule))
      guard let parent, let name = folder.name else {
        root.withLock { $0 = node }
        return
      }
      entry = NamedNode(name: name, node: node)
      folder = parent
    }
  }

  /// Reads a symbolic link.
  func readLink(
    _ parent: CInt,
    _ name: UnsafePointer<CChar>,
    describe: () -> String
  ) throws(ServiceError) -> Node {
    // One more than a link may have, to see a longer one.
    let capacity = SymlinkTarget.maximumByteCount + 1
    let buffer = UnsafeMutablePointer<CChar>.allocate(capacity: capacity)
    defer { buffer.deallocate() }
    let count = readlinkat(parent, name, buffer, capacity)
    if count == -1 { throw ServiceError.system(.current, "read the link \(describe())") }
    do throws(SymlinkTargetError) {
      let target = try SymlinkTarget(UnsafeRawBufferPointer(start: buffer, count: count))
      progress.symlinks.wrappingAdd(1, ordering: .relaxed)
      return .symlink(target: target)
    } catch {
      throw ServiceError(.invalidArgument, "cannot store the link \(describe()): \(error)")
    }
  }

  func specialFileError(_ path: String) -> ServiceError {
    ServiceError(
      .invalidArgument,
      "\(path) is a socket, device or fifo, which cannot be stored; such files can be skipped"
    )
  }

  /// The path of an entry, for messages.
  func describe(_ folder: ImportedFolder, _ name: PathComponent?) -> String {
    var path = rootPath.withLock { $0 }
    for component in folder.path + (name.map { [$0] } ?? []) {
      if path.last != UInt8(ascii: "/") { path.append(UInt8(ascii: "/")) }
      path += component.bytes
    }
    return escaped(path)
  }
}
