import Castore
import Glibc
import Platform

/// A socket that listens. Whoever holds it closes it, or hands it to a transport that will.
struct ListeningSocket {
  /// The socket.
  var descriptor: CInt
  /// Where it listens, with the port that was taken.
  var address: String
  /// The socket's file, to be removed in the end.
  var path: String?

  /// Whether it can be reached from this machine only.
  var isLocal: Bool {
    var address = sockaddr()
    var length = socklen_t(MemoryLayout<sockaddr>.size)
    return getsockname(descriptor, &address, &length) == 0 && address.sa_family == AF_UNIX
  }

  private static let backlog: CInt = 1024

  /// Opens the sockets of an address; a name may stand for several.
  static func open(
    _ address: ListenAddress,
    inherited: InheritedSockets
  ) throws(ServiceError) -> [ListeningSocket] {
    switch address {
    case .tcp(let host, let port): return try openTCP(host: host, port: port)
    case .unix(let path): return [try openUnix(path: path)]
    case .inherited(let name):
      return try inherited.named(name).map { socket in
        ListeningSocket(descriptor: socket.descriptor, address: "sd-listen:\(socket.name)")
      }
    }
  }

  // MARK: TCP

  private static func openTCP(host: String, port: UInt16) throws(ServiceError) -> [ListeningSocket]
  {
    let shown = "\(ListenAddress.tcp(host: host, port: port))"
    var hints = addrinfo()
    hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
    // All interfaces are one socket for both families.
    if host.isEmpty { hints.ai_family = AF_INET6 }
    var list: UnsafeMutablePointer<addrinfo>?
    let status = getaddrinfo(host.isEmpty ? nil : host, "\(port)", &hints, &list)
    guard status == 0 else {
      let reason = String(cString: gai_strerror(status))
      throw ServiceError(.invalidArgument, "cannot listen on \(shown): \(reason)")
    }
    defer { freeaddrinfo(list) }
    var opened: [ListeningSocket] = []
    var failure: ServiceError?
    var entry = list
    while let info = entry {
      entry = info.pointee.ai_next
      do throws(ServiceError) {
        opened.append(try openTCP(info.pointee, host: host, shown: shown))
      } catch {
        failure = error
      }
      // A free port is taken once: the next family would get another.
      if port == 0 && !opened.isEmpty { break }
    }
    // A machine without IPv6 still serves "localhost".
    if opened.isEmpty { throw failure ?? ServiceError(.io, "cannot listen on \(shown)") }
    return opened
  }

  private static func openTCP(
    _ info: addrinfo,
    host: String,
    shown: String
  ) throws(ServiceError) -> ListeningSocket {
    func failure(_ step: String) -> ServiceError {
      ServiceError(.io, "cannot listen on \(shown): \(step): \(Errno.current)")
    }
    let number = socket(
      info.ai_family,
      info.ai_socktype | CInt(SOCK_CLOEXEC.rawValue),
      info.ai_protocol
    )
    guard number >= 0 else { throw failure("socket") }
    let descriptor = OwnedDescriptor(adopting: number)
    set(SO_REUSEADDR, level: SOL_SOCKET, to: 1, on: number)
    if info.ai_family == AF_INET6 {
      set(IPV6_V6ONLY, level: CInt(IPPROTO_IPV6), to: host.isEmpty ? 0 : 1, on: number)
    }
    guard bind(number, info.ai_addr, info.ai_addrlen) == 0 else { throw failure("bind") }
    guard listen(number, backlog) == 0 else { throw failure("listen") }
    let port = try port(of: number)
    return ListeningSocket(
      descriptor: descriptor.release(),
      address: "\(ListenAddress.tcp(host: host, port: port))"
    )
  }

  private static func set(_ option: CInt, level: CInt, to value: CInt, on descriptor: CInt) {
    var value = value
    setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<CInt>.size))
  }

  private static func port(of descriptor: CInt) throws(ServiceError) -> UInt16 {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let port: UInt16? = withUnsafeMutableBytes(of: &storage) { bytes in
      guard let base = bytes.baseAddress else { return nil }
      let address = base.assumingMemoryBound(to: sockaddr.self)
      guard getsockname(descriptor, address, &length) == 0 else { return nil }
      // The port stands at the same place in the addresses of both families.
      return UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
    }
    guard let port else { throw ServiceError(.io, "getsockname: \(Errno.current)") }
    return port
  }

  // MARK: Unix

  private static func openUnix(path: String) throws(ServiceError) -> ListeningSocket {
    func failure(_ step: String) -> ServiceError {
      ServiceError(.io, "cannot listen on unix:\(path): \(step): \(Errno.current)")
    }
    let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
    let number = socket(AF_UNIX, kind, 0)
    guard number >= 0 else { throw failure("socket") }
    let descriptor = OwnedDescriptor(adopting: number)
    try removeStaleSocket(path: path)
    guard try withAddress(of: path, { bind(number, $0, $1) }) == 0 else { throw failure("bind") }
    guard listen(number, backlog) == 0 else {
      defer { unlink(path) }
      throw failure("listen")
    }
    return ListeningSocket(
      descriptor: descriptor.release(),
      address: "unix:\(path)",
      path: path
    )
  }

  // A server that was killed leaves its socket behind; one that lives answers.
  private static func removeStaleSocket(path: String) throws(ServiceError) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFSOCK else {
      throw ServiceError(
        .invalidArgument,
        "cannot listen on unix:\(path): there is a file of that name which is no socket"
      )
    }
    let number = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
    guard number >= 0 else { return }
    let probe = OwnedDescriptor(adopting: number)
    let isLive = try withAddress(of: path, { connect(probe.number, $0, $1) }) == 0
    guard !isLive else {
      throw ServiceError(.invalidArgument, "another server listens on unix:\(path) already")
    }
    unlink(path)
  }

  private static func withAddress(
    of path: String,
    _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt
  ) throws(ServiceError) -> CInt {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    // One byte stays for the final NUL.
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path), !bytes.contains(0) else {
      throw ServiceError(
        .invalidArgument,
        "the path of a Unix socket has at most 107 bytes, got \(bytes.count): \(path)"
      )
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        body(pointer, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }
}
