internal import CLinux
internal import Glibc
internal import Synchronization

/// A Unix stream socket that listens under a path, and the right to that path.
///
/// Whoever holds the lock file beside the socket (`PATH.lock`) has the path, for as long as it lives, so
/// servers that start at the same time at what a dead one left behind never take it from each other: one
/// starts and the others are told that it is in use. The socket gets its name when it already listens and
/// has its mode: nobody ever finds one that refuses, or with other permissions. Both files are removed
/// when the path is given up, unless somebody has put something else in their place.
///
/// Safe to use from any thread. Never blocks.
public final class UnixListener: Sendable {
  /// Where it listens.
  public let path: String
  private let place: SocketPlace
  private let lock: OwnedDescriptor
  /// Keeps the inode: its number is not given to another file while we compare with it.
  private let file: OwnedDescriptor
  private let socket: Atomic<CInt>
  private let holdsPath = Atomic(true)

  private static let noSocket: CInt = -1

  /// Binds and listens.
  ///
  /// A socket that nobody listens on any more is replaced; any other file is an error. The folder may have
  /// a path of any length.
  ///
  /// - Parameters:
  ///   - mode: Who may connect; nil leaves it to the umask.
  ///   - backlog: How many connections may wait to be accepted.
  public init(path: String, mode: UInt32? = nil, backlog: CInt = 128) throws(UnixListenerError) {
    self.path = path
    place = try SocketPlace(path)
    lock = try place.takeLock()
    do throws(UnixListenerError) {
      try place.removeStaleSocket()
      let made = try place.listen(mode: mode, backlog: backlog)
      file = made.file
      socket = Atomic(made.socket.release())
    } catch {
      place.removeLock(lock)
      throw error
    }
  }

  deinit {
    giveUpPath()
    if let socket = takeSocket() { close(socket) }
  }

  /// The listening descriptor, for `poll(2)`, while the listener lives and the socket was not taken.
  /// Does not block.
  public var number: CInt { socket.load(ordering: .relaxed) }

  /// Takes a connection that waits; nil if there is none any more.
  /// Corresponds to `accept4(2)`.
  public func accept() -> OwnedDescriptor? {
    while true {
      let number = CLinux_accept(number)
      if number >= 0 { return OwnedDescriptor(adopting: number) }
      if errno != EINTR { return nil }
    }
  }

  /// Hands the listening descriptor over to the caller, who closes it. The path remains the listener's.
  ///
  /// - Returns: Nil if it was taken already.
  public func takeSocket() -> CInt? {
    let number = socket.exchange(Self.noSocket, ordering: .relaxed)
    return number == Self.noSocket ? nil : number
  }

  /// Removes the path, so that the next server may listen there while this one still has things to do.
  ///
  /// Connections remain, and so does the socket. Does nothing the second time.
  public func giveUpPath() {
    guard holdsPath.exchange(false, ordering: .relaxed) else { return }
    place.removeSocket(file)
    place.removeLock(lock)
  }
}

/// Why nothing listens under a path.
public struct UnixListenerError: Error, CustomStringConvertible {
  /// What sort of failure it is.
  public enum Code: Sendable {
    /// The path cannot be that of a socket.
    case badPath
    /// A file that is no socket has the path; it is left alone.
    case notASocket
    /// Somebody listens there.
    case inUse
    /// The system refused something; see the cause.
    case system
  }

  /// What sort of failure it is.
  public let code: Code
  /// What went wrong, and where.
  public let message: String
  /// What the system said.
  public let cause: Errno?

  init(_ code: Code, _ message: String, cause: Errno? = nil) {
    self.code = code
    self.message = message
    self.cause = cause
  }

  /// One sentence.
  public var description: String {
    cause.map { "\(message): \($0)" } ?? message
  }
}
