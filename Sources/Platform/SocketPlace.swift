internal import CLinux
internal import Glibc

/// A name for a socket in a folder that is held open.
struct SocketPlace: ~Copyable, Sendable {
  private let path: String
  private let folder: OwnedDescriptor
  private let name: String

  private var lockName: String { name + ".lock" }

  init(_ path: String) throws(UnixListenerError) {
    let name = try Self.name(in: path)
    self.init(path: path, folder: try Self.openFolder(of: name, path), name: name)
  }

  private init(path: String, folder: consuming OwnedDescriptor, name: String) {
    self.path = path
    self.folder = folder
    self.name = name
  }

  private static func name(in path: String) throws(UnixListenerError) -> String {
    guard let name = path.split(separator: "/", omittingEmptySubsequences: true).last,
      !path.utf8.contains(0), !path.hasSuffix("/"), name != ".", name != ".."
    else { throw UnixListenerError(.badPath, "'\(path)' is no name for a socket") }
    return String(name)
  }

  private static func openFolder(
    of name: String,
    _ path: String
  ) throws(UnixListenerError) -> OwnedDescriptor {
    let folder = path.dropLast(name.count)
    let number = open(
      folder.isEmpty ? "." : String(folder),
      O_DIRECTORY | O_CLOEXEC | CInt(CLinux_O_PATH)
    )
    guard number >= 0 else {
      throw UnixListenerError(
        .system,
        "cannot open the folder of the socket \(path)",
        cause: .current
      )
    }
    return OwnedDescriptor(adopting: number)
  }

  private func failure(_ what: String) -> UnixListenerError {
    UnixListenerError(.system, "cannot \(what) \(path)", cause: .current)
  }

  // MARK: The lock

  /// Takes the right to the name, which whoever starts at the same time does not get.
  func takeLock() throws(UnixListenerError) -> OwnedDescriptor {
    while true {
      let flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
      let number = openat(folder.number, lockName, flags, 0o600)
      guard number >= 0 else { throw failure("make the lock file of") }
      let file = OwnedDescriptor(adopting: number)
      guard flock(number, LOCK_EX | LOCK_NB) == 0 else {
        guard errno == EWOULDBLOCK else { throw failure("lock the lock file of") }
        throw UnixListenerError(
          .inUse,
          "somebody listens at \(path) already (\(path).lock is held)"
        )
      }
      guard let identity = FileIdentity(of: file), identity.isRegularFile else {
        throw UnixListenerError(.notASocket, "\(path).lock is in the way: it is no lock file")
      }
      // Whoever had it before may have removed it between our two steps: then it locks nothing.
      if identity == FileIdentity(of: lockName, in: folder) { return file }
    }
  }

  /// Gives the right to the name up.
  func removeLock(_ lock: borrowing OwnedDescriptor) {
    // Only while it is locked: what another has locked since is not ours to remove.
    if let identity = FileIdentity(of: lock), identity.isEmpty,
      identity == FileIdentity(of: lockName, in: folder)
    {
      unlinkat(folder.number, lockName, 0)
    }
    flock(lock.number, LOCK_UN)
  }

  // MARK: The socket

  /// Removes the socket of a server that has died; one that lives accepts a connection.
  ///
  /// - Precondition: The lock is held, so the living one is a program that knows no such lock.
  func removeStaleSocket() throws(UnixListenerError) {
    let number = openat(folder.number, name, CInt(CLinux_O_PATH) | O_NOFOLLOW | O_CLOEXEC)
    guard number >= 0 else {
      if errno == ENOENT { return }
      throw failure("look at")
    }
    let file = OwnedDescriptor(adopting: number)
    guard let identity = FileIdentity(of: file) else { throw failure("look at") }
    guard identity.isSocket else {
      throw UnixListenerError(.notASocket, "\(path) exists and is not a socket")
    }
    let probe = try makeSocket()
    let result = try withAddress("/proc/self/fd/\(file.number)") {
      connect(probe.number, $0, $1)
    }
    guard result == -1, errno == ECONNREFUSED else {
      throw UnixListenerError(.inUse, "somebody listens at \(path) already")
    }
    removeSocket(file)
  }

  /// Removes the name if it still is that of a file.
  func removeSocket(_ file: borrowing OwnedDescriptor) {
    guard let identity = FileIdentity(of: file),
      identity == FileIdentity(of: name, in: folder)
    else { return }
    unlinkat(folder.number, name, 0)
  }

  /// Makes a socket that listens, and then gives it the name.
  ///
  /// - Returns: The socket, and its file, opened as a path only.
  func listen(
    mode: UInt32?,
    backlog: CInt
  ) throws(UnixListenerError) -> ListeningDescriptors {
    let socket = try makeSocket()
    // A short name, whatever the right one is: addresses of sockets have room for 107 bytes.
    let draft = "." + String(UInt64.random(in: .min ... .max), radix: 36)
    let result = try withAddress("/proc/self/fd/\(folder.number)/\(draft)") {
      bind(socket.number, $0, $1)
    }
    guard result == 0 else { throw failure("bind the socket") }
    defer { unlinkat(folder.number, draft, 0) }
    if let mode {
      guard fchmodat(folder.number, draft, mode, 0) == 0 else {
        throw failure("set the permissions of")
      }
    }
    guard Glibc.listen(socket.number, backlog) == 0 else { throw failure("listen at") }
    let number = openat(folder.number, draft, CInt(CLinux_O_PATH) | O_NOFOLLOW | O_CLOEXEC)
    guard number >= 0 else { throw failure("listen at") }
    let file = OwnedDescriptor(adopting: number)
    // Not by renaming: what has come to the name meanwhile would be lost.
    guard linkat(folder.number, draft, folder.number, name, 0) == 0 else {
      if errno == EEXIST {
        throw UnixListenerError(.inUse, "somebody listens at \(path) already")
      }
      throw failure("name the socket")
    }
    return ListeningDescriptors(socket: socket, file: file)
  }

  struct ListeningDescriptors: ~Copyable {
    var socket: OwnedDescriptor
    var file: OwnedDescriptor
  }

  private func makeSocket() throws(UnixListenerError) -> OwnedDescriptor {
    let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
    let number = socket(AF_UNIX, CInt(kind), 0)
    guard number >= 0 else { throw failure("make a socket for") }
    return OwnedDescriptor(adopting: number)
  }

  /// By way of an open descriptor: the folder may move, and its path be long.
  private func withAddress(
    _ text: String,
    _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt
  ) throws(UnixListenerError) -> CInt {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let fits = withUnsafeMutableBytes(of: &address.sun_path) { target in
      guard text.utf8.count < target.count else { return false }
      target.copyBytes(from: text.utf8)
      return true
    }
    guard fits else { throw UnixListenerError(.badPath, "no address for the socket \(path)") }
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }
}

/// Which file it is.
private struct FileIdentity: Equatable {
  let device: UInt
  let inode: UInt
  let kind: mode_t
  let isEmpty: Bool

  var isRegularFile: Bool { kind == S_IFREG }
  var isSocket: Bool { kind == S_IFSOCK }

  private init(_ status: stat) {
    device = UInt(status.st_dev)
    inode = UInt(status.st_ino)
    kind = status.st_mode & S_IFMT
    isEmpty = status.st_size == 0
  }

  init?(of file: borrowing OwnedDescriptor) {
    var status = stat()
    guard fstat(file.number, &status) == 0 else { return nil }
    self.init(status)
  }

  init?(of name: String, in folder: borrowing OwnedDescriptor) {
    var status = stat()
    guard fstatat(folder.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return nil }
    self.init(status)
  }
}
