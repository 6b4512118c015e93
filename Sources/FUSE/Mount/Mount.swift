internal import Glibc
internal import Platform

/// A mounted file system: made mounted, ends with `unmount` or when somebody else unmounts it.
///
/// Letting go of it changes nothing: the threads serve until the mount has ended. All methods may be
/// called from any thread but those of the file system's own methods.
public final class Mount: Sendable {
  /// The mount point, absolute and without links.
  public let path: String
  /// The session, for counts and the agreement.
  public let session: Session
  private let server: DeviceServer
  private let entry: MountTable.Entry?
  private let usesHelper: Bool

  /// Mounts a file system, and returns when the kernel has accepted it: when it can be used.
  ///
  /// Blocks for some milliseconds. A mount of a crashed server at the same path is cleared away first.
  public init(
    _ fileSystem: any FileSystem,
    at path: String,
    options: MountOptions = MountOptions(),
    configuration: SessionConfiguration = SessionConfiguration()
  ) throws(MountError) {
    let point = try MountPoint(path)
    self.path = point.path
    var usesHelper = false
    let device = try Self.mount(point, options, &usesHelper)
    self.usesHelper = usesHelper
    entry = try? MountTable.current().top(at: point.bytes)
    let connection = KernelConnection(device)
    session = Session(fileSystem: fileSystem, configuration: configuration, kernel: connection)
    let threads = max(1, options.threads ?? max(2, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    server = DeviceServer(session: session, connection: connection, threads: threads)
    do throws(Errno) {
      try server.start(threads: threads, onFault: configuration.onFault)
    } catch {
      try? detach()
      connection.shutDown()
      throw .threads(error)
    }
    guard server.ready.wait() else {
      let end = server.ended.wait()
      try? detach()
      throw .notReady(path: self.path, end)
    }
    if let kibibytes = options.readAheadKiB { setReadAhead(kibibytes) }
  }

  private static func mount(
    _ point: MountPoint,
    _ options: MountOptions,
    _ usesHelper: inout Bool
  ) throws(MountError) -> OwnedDescriptor {
    if options.method == .helper {
      usesHelper = true
      return try Helper.mount(point.path, options: options)
    }
    do throws(MountError) {
      return try mountDirectly(point, options)
    } catch {
      guard options.method == .automatic, geteuid() != 0 else { throw error }
      switch error {
      case .device(Errno(EACCES)), .device(Errno(EPERM)), .mount(_, Errno(EPERM)):
        usesHelper = true
        return try Helper.mount(point.path, options: options)
      default: throw error
      }
    }
  }

  private static func mountDirectly(
    _ point: MountPoint,
    _ options: MountOptions
  ) throws(MountError) -> OwnedDescriptor {
    let device: OwnedDescriptor
    do throws(Errno) {
      let number = try retryingOnInterrupt { open("/dev/fuse", O_RDWR | O_CLOEXEC) }
      device = OwnedDescriptor(adopting: number)
    } catch {
      throw .device(error)
    }
    var words =
      "fd=\(device.number),rootmode=40000,user_id=\(geteuid()),group_id=\(getegid()),"
      + "default_permissions"
    if options.allowOther { words += ",allow_other" }
    var flags = UInt(MS_RDONLY) | UInt(MS_NODEV)
    if !options.allowsSetuid { flags |= UInt(MS_NOSUID) }
    let type = options.cleanSubtype.map { "fuse.\($0)" } ?? "fuse"
    let result = words.withCString {
      Glibc.mount(options.cleanSource, point.path, type, flags, $0)
    }
    guard result == 0 else { throw .mount(path: point.path, Errno.current) }
    return device
  }

  /// Nil while it is mounted.
  public var end: MountEnd? { server.ended.current }

  /// Blocks the thread until the mount has ended, by whomever, and every request was answered.
  @discardableResult
  public func waitForEnd() -> MountEnd { server.ended.wait() }

  /// Suspends until the mount has ended, by whomever, and every request was answered.
  @discardableResult
  public func ended() async -> MountEnd { await server.ended.get() }

  /// What became of unmounting.
  public enum Unmounting: Hashable, Sendable {
    /// It has ended.
    case ended
    /// It is out of sight, and ends when the last process in it lets go.
    case detached
  }

  /// Unmounts. While it is busy it tries again for a time, then detaches it.
  ///
  /// Blocks the thread. Never unmounts anything else: a mount that ended before is left alone, and so is
  /// what somebody mounted on top. Calling it again is harmless.
  ///
  /// - Parameter grace: Milliseconds to wait for a busy mount.
  public func unmount(grace: Int = 0) throws(MountError) -> Unmounting {
    var waited = 0
    while true {
      do throws(MountError) {
        guard try isOurs() else { break }
        try unmountOnce(lazily: false)
        break
      } catch {
        guard case .unmount(_, Errno(EBUSY)) = error else { throw error }
        guard waited < grace else {
          try detach()
          break
        }
        waited += 20
        usleep(20_000)
      }
    }
    // The kernel lets go of a file system a moment after its name; one with users lives on.
    return server.ended.wait(milliseconds: 500) == nil ? .detached : .ended
  }

  /// Takes the mount out of sight at once, whoever uses it.
  public func detach() throws(MountError) {
    guard try isOurs() else { return }
    try unmountOnce(lazily: true)
  }

  private func unmountOnce(lazily: Bool) throws(MountError) {
    if usesHelper { return try Helper.unmount(path, lazily: lazily) }
    let flags = Int32(UMOUNT_NOFOLLOW) | (lazily ? Int32(MNT_DETACH) : 0)
    guard umount2(path, flags) == 0 else { throw .unmount(path: path, Errno.current) }
  }

  /// True if the path leads to our mount.
  private func isOurs() throws(MountError) -> Bool {
    guard server.ended.current == nil else { return false }
    // The kernel reports an error on the device once the connection is over.
    let isOver = try? server.connection.withDescriptor { descriptor throws(Errno) in
      var request = pollfd(fd: descriptor, events: 0, revents: 0)
      return poll(&request, 1, 0) > 0 && request.revents & Int16(POLLERR) != 0
    }
    guard isOver == false else { return false }
    guard let entry, let table = try? MountTable.current() else { return true }
    guard table.entries.contains(where: { $0.id == entry.id && $0.device == entry.device }) else {
      return false
    }
    guard let top = table.top(at: Array(path.utf8)), top.id == entry.id else {
      throw .covered(path: path)
    }
    return true
  }

  private func setReadAhead(_ kibibytes: Int) {
    guard let entry else { return }
    let file = open("/sys/class/bdi/\(entry.device)/read_ahead_kb", O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { return }
    let text = "\(max(0, kibibytes))\n"
    _ = write(file, text, text.utf8.count)
    close(file)
  }
}
