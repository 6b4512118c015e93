internal import Glibc
internal import Platform

/// A mounted file system: made mounted, ends with `unmount` or when somebody else unmounts it.
///
/// Letting go of it changes nothing: the threads serve until the mount has ended. All methods may be
/// called from any thread but those of the file system's own methods.
public final class Mount: Sendable {
  /// Where it was mounted, absolute and without links. It may have been moved since.
  public let path: String
  /// The session, for counts and the agreement.
  public let session: Session
  private let server: DeviceServer
  private let identity: Result<MountIdentity, Errno>
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
    if options.requiresEmptyMountPoint { try point.requireEmpty() }
    self.path = point.path
    var usesHelper = false
    let device = try Self.mount(point, options, &usesHelper)
    self.usesHelper = usesHelper
    do throws(Errno) {
      identity = .success(try MountIdentity(at: point.bytes))
    } catch {
      identity = .failure(error)
    }
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
      if let refusal = session.refusal {
        // Nothing else ends it, and the threads leave when the kernel lets go.
        try? detach()
        throw .tooOld(
          path: self.path,
          major: refusal.major,
          minor: refusal.minor,
          oldestMinor: refusal.oldestMinor
        )
      }
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

  /// Unmounts, wherever it was moved to. While it is busy it tries again for a time, then detaches it.
  ///
  /// Blocks the thread. Never unmounts anything else: a mount that ended before is left alone, and so is
  /// what somebody mounted on top, or where it used to be. Calling it again is harmless.
  ///
  /// - Parameter grace: Milliseconds to wait for a busy mount.
  public func unmount(grace: Int = 0) throws(MountError) -> Unmounting {
    var waited = 0
    while waited < grace {
      do throws(MountError) {
        try unmountOnce(lazily: false)
        break
      } catch {
        guard case .unmount(_, Errno(EBUSY)) = error else { throw error }
        waited += 20
        usleep(20_000)
      }
    }
    // Does nothing where it is unmounted.
    try detach()
    // The kernel lets go of a file system a moment after its name; one with users lives on.
    return server.ended.wait(milliseconds: 500) == nil ? .detached : .ended
  }

  /// Takes the mount out of sight at once, whoever uses it.
  public func detach() throws(MountError) {
    try unmountOnce(lazily: true)
  }

  private func unmountOnce(lazily: Bool) throws(MountError) {
    // It may be moved again between looking and unmounting: then it is looked for again.
    for attempt in 1...16 {
      guard isConnected else { return }
      let identity: MountIdentity
      do throws(Errno) {
        identity = try self.identity.get()
      } catch {
        throw .unknown(path: path, error)
      }
      guard let place = identity.place(remembered: Array(path.utf8)) else { return }
      var isFound = false
      do throws(Errno) {
        try MountIdentity.opening(place) { (directory, found) throws(Errno) in
          isFound = found == identity
          // A mount that is open is busy: only a lazy unmount can be told by the open directory which it is.
          if isFound && lazily && !usesHelper { try Self.detach(directory, at: place) }
        }
      } catch {
        if !isFound && attempt < 16 && [ENOENT, ENOTDIR].contains(error.code) { continue }
        throw .unmount(path: String(decoding: place, as: UTF8.self), error)
      }
      if isFound {
        if usesHelper { return try Helper.unmount(place, lazily: lazily) }
        if !lazily { try Self.unmount(place) }
        return
      }
      // Still there, under something else.
      if identity.place(remembered: place) == place {
        throw .covered(path: String(decoding: place, as: UTF8.self))
      }
    }
    throw .unmount(path: path, Errno(EBUSY))
  }

  private static func detach(_ directory: CInt, at place: [UInt8]) throws(Errno) {
    if umount2("/proc/self/fd/\(directory)", Int32(MNT_DETACH)) == 0 { return }
    guard [ENOENT, ENOTDIR].contains(errno) else { throw Errno.current }
    // There is no /proc.
    let path = place.map { CChar(bitPattern: $0) } + [0]
    guard umount2(path, Int32(UMOUNT_NOFOLLOW) | Int32(MNT_DETACH)) == 0 else {
      throw Errno.current
    }
  }

  private static func unmount(_ place: [UInt8]) throws(MountError) {
    let path = place.map { CChar(bitPattern: $0) } + [0]
    guard umount2(path, Int32(UMOUNT_NOFOLLOW)) == 0 else {
      throw .unmount(path: String(decoding: place, as: UTF8.self), Errno.current)
    }
  }

  /// False once the kernel has ended the connection: it reports an error on the device then.
  private var isConnected: Bool {
    guard server.ended.current == nil else { return false }
    let isOver = try? server.connection.withDescriptor { descriptor throws(Errno) in
      var request = pollfd(fd: descriptor, events: 0, revents: 0)
      return poll(&request, 1, 0) > 0 && request.revents & Int16(POLLERR) != 0
    }
    return isOver == false
  }

  private func setReadAhead(_ kibibytes: Int) {
    guard let identity = try? identity.get() else { return }
    let file = open("/sys/class/bdi/\(identity.device)/read_ahead_kb", O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { return }
    let text = "\(max(0, kibibytes))\n"
    _ = write(file, text, text.utf8.count)
    close(file)
  }
}
