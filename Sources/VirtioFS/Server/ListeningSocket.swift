internal import CLinux
internal import Glibc
internal import Platform

/// A Unix socket under a path, which is removed again at the end if it is still ours.
final class ListeningSocket: Sendable {
  let path: String
  private let socket: OwnedDescriptor
  private let folder: OwnedDescriptor
  private let name: String
  private let identity: Identity

  private struct Identity: Equatable {
    let device: UInt
    let inode: UInt
  }

  /// For `poll(2)`, while the socket lives.
  var number: CInt { socket.number }

  /// Binds and listens.
  ///
  /// What is left of a server that has died is replaced. Paths may be of any length.
  ///
  /// - Parameter mode: Who may connect, before anybody can.
  init(path: String, mode: UInt32) throws(VirtioFSError) {
    let parts = path.split(separator: "/", omittingEmptySubsequences: true)
    guard let last = parts.last, !path.utf8.contains(0), !path.hasSuffix("/"), last != ".",
      last != ".."
    else { throw VirtioFSError(.socket, "'\(path)' is no name for a socket") }
    name = String(last)
    self.path = path
    let folderPath = String(path.dropLast(last.count))
    do throws(Errno) {
      folder = OwnedDescriptor(
        adopting: try retryingOnInterrupt {
          open(folderPath.isEmpty ? "." : folderPath, O_DIRECTORY | O_CLOEXEC | CInt(CLinux_O_PATH))
        }
      )
    } catch {
      throw VirtioFSError(.socket, "cannot open the folder of the socket \(path)", cause: error)
    }
    socket = try Self.makeSocket()
    var address = try Self.address(of: name, in: folder)
    if Self.bind(socket, &address) != 0 {
      let code = Errno.current
      guard code.code == EADDRINUSE else {
        throw VirtioFSError(.socket, "cannot bind the socket \(path)", cause: code)
      }
      try Self.removeStale(name, in: folder, &address, path)
      guard Self.bind(socket, &address) == 0 else {
        throw VirtioFSError(.socket, "cannot bind the socket \(path)", cause: Errno.current)
      }
    }
    // Nobody can connect before `listen`: there is no moment with other permissions.
    guard fchmodat(folder.number, name, mode, 0) == 0,
      let identity = Self.identify(name, in: folder)
    else {
      let code = Errno.current
      unlinkat(folder.number, name, 0)
      throw VirtioFSError(.socket, "cannot set the permissions of \(path)", cause: code)
    }
    self.identity = identity
    guard listen(socket.number, 8) == 0 else {
      throw VirtioFSError(.socket, "cannot listen at \(path)", cause: Errno.current)
    }
  }

  deinit {
    // Somebody may have put another socket in its place.
    if Self.identify(name, in: folder) == identity { unlinkat(folder.number, name, 0) }
  }

  /// Takes a connection that waits; nil if there is none any more.
  func accept() -> OwnedDescriptor? {
    while true {
      let number = CLinux_accept(socket.number)
      if number >= 0 { return OwnedDescriptor(adopting: number) }
      if errno != EINTR { return nil }
    }
  }

  private static func makeSocket() throws(VirtioFSError) -> OwnedDescriptor {
    let kind =
      CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
      | CInt(SOCK_NONBLOCK.rawValue)
    let number = Glibc.socket(AF_UNIX, kind, 0)
    guard number >= 0 else {
      throw VirtioFSError(.resources, "no socket", cause: Errno.current)
    }
    return OwnedDescriptor(adopting: number)
  }

  /// By way of the open folder: names of sockets have room for 107 bytes only, and the folder may move.
  private static func address(
    of name: String,
    in folder: borrowing OwnedDescriptor
  ) throws(VirtioFSError) -> sockaddr_un {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let path = "/proc/self/fd/\(folder.number)/\(name)"
    let fits = withUnsafeMutableBytes(of: &address.sun_path) { target in
      guard path.utf8.count < target.count else { return false }
      target.copyBytes(from: path.utf8)
      return true
    }
    guard fits else { throw VirtioFSError(.socket, "the name of the socket is too long: \(name)") }
    return address
  }

  private static func bind(
    _ socket: borrowing OwnedDescriptor,
    _ address: inout sockaddr_un
  ) -> CInt {
    withSocketAddress(&address) { Glibc.bind(socket.number, $0, $1) }
  }

  private static func withSocketAddress(
    _ address: inout sockaddr_un,
    _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt
  ) -> CInt {
    withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }

  /// Removes the socket of a server that has died; one that lives accepts a connection.
  private static func removeStale(
    _ name: String,
    in folder: borrowing OwnedDescriptor,
    _ address: inout sockaddr_un,
    _ path: String
  ) throws(VirtioFSError) {
    var status = stat()
    guard fstatat(folder.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
      // Gone meanwhile.
      return
    }
    guard status.st_mode & S_IFMT == S_IFSOCK else {
      throw VirtioFSError(.inUse, "\(path) exists and is not a socket")
    }
    let probe = try makeSocket()
    let result = withSocketAddress(&address) { connect(probe.number, $0, $1) }
    guard result == -1, Errno.current.code == ECONNREFUSED else {
      throw VirtioFSError(.inUse, "somebody listens at \(path) already")
    }
    unlinkat(folder.number, name, 0)
  }

  private static func identify(
    _ name: String,
    in folder: borrowing OwnedDescriptor
  ) -> Identity? {
    var status = stat()
    guard fstatat(folder.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return nil }
    return Identity(device: UInt(status.st_dev), inode: UInt(status.st_ino))
  }
}
