import Glibc

/// Tells the service manager (systemd, with `Type=notify`) how things stand.
enum ServiceManager {
  /// Sends `READY=1`, `STOPPING=1` and the like; does nothing where nobody has asked for it.
  ///
  /// Never fails: a manager that does not listen is no reason to stop.
  static func notify(_ state: String) {
    guard let name = environment("NOTIFY_SOCKET") else { return }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    var path = Array(name.utf8)
    // An abstract name is written with @ and begins with a NUL.
    if path.first == UInt8(ascii: "@") { path[0] = 0 }
    let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
    guard path.first == 0 || path.first == UInt8(ascii: "/"),
      start + path.count < MemoryLayout<sockaddr_un>.size
    else { return }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
    let descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    // The length says where an abstract name ends.
    let length = socklen_t(start + path.count)
    _ = withUnsafePointer(to: &address) { address in
      address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(descriptor, state, state.utf8.count, CInt(MSG_NOSIGNAL), $0, length)
      }
    }
  }
}
