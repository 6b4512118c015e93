import Castore
import Glibc
import Platform

/// A socket that listens. Whoever holds it closes it, or hands it to a transport that will.
struct ListeningSocket {
  /// The socket.
  var descriptor: CInt
  /// Where it listens, with the port that was taken.
  var address: String
  /// Holds the path of a Unix socket until it is given up.
  var unixListener: UnixListener?

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
    var known: Set<[UInt8]> = []
    var failure: ServiceError?
    var entry = list
    while let info = entry {
      entry = info.pointee.ai_next
      // A name may stand for one address several times.
      let bytes = UnsafeRawBufferPointer(
        start: info.pointee.ai_addr,
        count: Int(info.pointee.ai_addrlen)
      )
      guard known.insert([UInt8](bytes)).inserted else { continue }
      do throws(ServiceError) {
        opened.append(try openTCP(info.pointee, host: host, shown: shown))
      } catch {
        // A machine without IPv6 still serves "localhost". Where somebody else serves one of the addresses,
        // clients would find either.
        guard Self.isMissing(error) else {
          for socket in opened { close(socket.descriptor) }
          throw error
        }
        failure = error
      }
      // A free port is taken once: the next family would get another.
      if port == 0 && !opened.isEmpty { break }
    }
    if opened.isEmpty { throw failure ?? ServiceError(.io, "cannot listen on \(shown)") }
    return opened
  }

  // Whether the machine has no such address.
  private static func isMissing(_ error: ServiceError) -> Bool {
    guard let cause = error.cause as? Errno else { return false }
    return [EAFNOSUPPORT, EADDRNOTAVAIL, EPROTONOSUPPORT].contains(cause.code)
  }

  private static func openTCP(
    _ info: addrinfo,
    host: String,
    shown: String
  ) throws(ServiceError) -> ListeningSocket {
    func failure(_ step: String) -> ServiceError {
      let cause = Errno.current
      var name = [CChar](repeating: 0, count: 256)
      getnameinfo(
        info.ai_addr,
        info.ai_addrlen,
        &name,
        socklen_t(name.count),
        nil,
        0,
        NI_NUMERICHOST
      )
      let address = String(
        decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
        as: UTF8.self
      )
      return ServiceError(
        .io,
        "cannot listen on \(shown) at \(address): \(step): \(cause)",
        cause: cause
      )
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
    // The listener could do with more, and no client would reach it.
    guard path.utf8.count <= 107 else {
      throw ServiceError(
        .invalidArgument,
        "the path of a Unix socket has at most 107 bytes, got \(path.utf8.count): \(path)"
      )
    }
    let listener: UnixListener
    do throws(UnixListenerError) {
      listener = try UnixListener(path: path, backlog: backlog)
    } catch {
      throw ServiceError(
        error.code == .system ? .io : .invalidArgument,
        "cannot listen on unix:\(path): \(error)"
      )
    }
    guard let descriptor = listener.takeSocket() else {
      preconditionFailure("nobody else has the listener")
    }
    return ListeningSocket(
      descriptor: descriptor,
      address: "unix:\(path)",
      unixListener: listener
    )
  }
}
