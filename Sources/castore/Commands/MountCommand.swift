import ArgumentParser
import CastoreFileSystem
import CastoreStorage
import FUSE
import Glibc
import Logging

struct MountCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mount",
    abstract: "Mount the store, read-only, until it is unmounted or a signal comes.",
    discussion: """
      Shows named roots and Nix store paths side by side. Runs in the foreground. SIGINT, \
      SIGTERM and SIGHUP (unless it was ignored at the start, as nohup has it) unmount; a mount that is \
      still in use disappears at once and is served until its last user leaves, or a second signal comes. \
      Every other signal that ends a process unmounts first. \
      SIGUSR1 reports how many requests of each sort the kernel sent.
      """
  )

  @OptionGroup var store: StoreOptions
  @OptionGroup var look: FileSystemFlags

  @Option(
    help: """
      How files are read: through the page cache (cached), by the kernel from the store's own files \
      (passthrough), or whichever suits the store (auto).
      """
  )
  var dataPath = DataPathWish.auto

  @Flag(help: "Let other users in. For ordinary users /etc/fuse.conf must allow it.")
  var allowOther = false

  @Flag(help: "Mount also where there are files or another mount, and hide them.")
  var nonEmpty = false

  @Option(help: "How many threads answer the kernel; default: one for each core, at least two.")
  var threads: Int?

  @Argument(help: "An empty directory to mount at.")
  var mountpoint: String

  func validate() throws {
    try ArgumentBytes.requireText(mountpoint, "the mount point")
    if mountpoint.isEmpty { throw ValidationError("the mount point must not be empty") }
    if let threads, !(1...1024).contains(threads) {
      throw ValidationError("--threads must be between 1 and 1024")
    }
  }

  func run() async throws {
    let logger = try makeLogger()
    let services = try await store.openServices()
    try services.local?.keepShownRoots()
    let decision = await decideDataPath(services)
    // A store elsewhere may have millions of names.
    var fileSystemOptions = try look.options(listsRoot: services.local != nil)
    fileSystemOptions.dataPath = decision.path
    if let near = services.near {
      fileSystemOptions.maxStackDepth = PassthroughSupport.stackDepth(of: near.path)
    }
    let fileSystem = CastoreFileSystem(
      blobs: services.blobs,
      directories: services.walkedDirectories,
      roots: services.topNodes,
      options: fileSystemOptions,
      logger: logger
    )
    var options = MountOptions()
    options.source = "castore:\(services.name)"
    options.subtype = "castore"
    options.allowOther = allowOther
    options.threads = threads
    options.requiresEmptyMountPoint = !nonEmpty
    options.readAheadKiB = 1024
    var configuration = SessionConfiguration()
    configuration.onFault = { logger.error("\($0)") }
    let watched = try WatchedService<Mount> { mount in
      logger.info("\(fileSystem.nodeCount) nodes known; requests: \(mount.session.requestCounts)")
    } end: { mount, ending in
      Self.unmount(mount, ending, logger)
    }
    let mount: Mount
    do throws(MountError) {
      mount = try Mount(
        fileSystem,
        at: mountpoint,
        options: options,
        configuration: configuration
      )
    } catch {
      guard case .occupied = error else { throw error }
      throw CommandError("\(error); --non-empty hides what is there")
    }
    watched.begin(mount)
    logger.info("data path \(decision.path.rawValue): \(decision.reason)")
    logger.info("mounted \(services.name) at \(mount.path)")
    ServiceManager.notify("READY=1\nSTATUS=\(services.name) at \(mount.path)")
    // Suspended, not blocked: on one core this may be the only thread that tasks have.
    let end = await mount.ended()
    ServiceManager.notify("STOPPING=1")
    await services.settle()
    switch end {
    case .unmounted: logger.info("unmounted \(mount.path)")
    case .aborted:
      throw CommandError("\(mount.path) was aborted by the kernel's control file; unmount it")
    case .failed(let error):
      throw CommandError("serving \(mount.path) ended: \(error)")
    }
  }

  /// How long to look at the trees, at most, before there is a mount.
  private static let patience = Duration.seconds(3)

  private func decideDataPath(_ services: Services) async -> DataPathDecision {
    var facts = DataPathDecision.Facts(files: 0, bytes: 0)
    facts.obstacle =
      services.near == nil ? "the store is not on this machine" : PassthroughSupport.obstacle()
    if dataPath == .auto && facts.obstacle == nil { facts = await Self.lookAtTrees(services) }
    return .make(dataPath.path, facts)
  }

  private static func lookAtTrees(_ services: Services) async -> DataPathDecision.Facts {
    await withTaskGroup(of: DataPathDecision.Facts?.self) { group in
      group.addTask { await .sampling(services.topNodes, services.walkedDirectories) }
      group.addTask {
        try? await Task.sleep(for: patience)
        return nil
      }
      // The look ends with what it has seen when its time is over.
      var facts = await group.next() ?? nil
      group.cancelAll()
      if facts == nil { facts = await group.next() ?? nil }
      return facts ?? .init(files: 0, bytes: 0)
    }
  }

  private static func unmount(
    _ mount: Mount,
    _ ending: ProcessSignals.Ending,
    _ logger: Logger
  ) {
    ServiceManager.notify("STOPPING=1")
    do {
      switch try mount.unmount() {
      case .ended: break
      case .detached where ending == .atOnce: break
      case .detached:
        logger.notice(
          "\(mount.path) is in use: detached, serving until its last user leaves or another signal"
        )
      }
    } catch {
      logger.error("unmounting \(mount.path): \(error)")
    }
  }
}

/// The data paths on the command line.
enum DataPathWish: String, ExpressibleByArgument, CaseIterable {
  case auto
  case cached
  case passthrough

  var path: DataPath? {
    switch self {
    case .auto: nil
    case .cached: .cached
    case .passthrough: .passthrough
    }
  }
}
