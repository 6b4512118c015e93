package import Castore
import Glibc

/// The listening sockets that systemd handed to this process. Corresponds to `sd_listen_fds(3)`.
package struct InheritedSockets: Hashable, Sendable {
  /// A socket and its name.
  package struct Socket: Hashable, Sendable {
    /// The descriptor.
    package var descriptor: CInt
    /// What the socket unit calls it.
    package var name: String
  }

  /// The sockets, in the order of their descriptors.
  package var sockets: [Socket]

  // The first descriptor that is handed over.
  private static let firstDescriptor: CInt = 3

  /// Reads the variables that systemd sets; there are no sockets where they are meant for another process.
  package init(
    environment: (String) -> String?,
    process: CInt
  ) throws(ServiceError) {
    sockets = []
    guard let target = environment("LISTEN_PID"), CInt(target) == process else { return }
    guard let text = environment("LISTEN_FDS"), let count = CInt(text), (0...4096).contains(count)
    else {
      throw ServiceError(
        .invalidArgument,
        "LISTEN_FDS must be a number of sockets, got \"\(environment("LISTEN_FDS") ?? "")\""
      )
    }
    let names = (environment("LISTEN_FDNAMES") ?? "").split(
      separator: ":",
      omittingEmptySubsequences: false
    )
    for index in 0..<Int(count) {
      sockets.append(
        Socket(
          descriptor: Self.firstDescriptor + CInt(index),
          name: index < names.count ? String(names[index]) : "unknown"
        )
      )
    }
  }

  /// Reads this process's environment. The sockets are kept from programs that it starts.
  package static func ofThisProcess() throws(ServiceError) -> InheritedSockets {
    let inherited = try InheritedSockets(
      environment: { name in getenv(name).map { String(cString: $0) } },
      process: getpid()
    )
    for socket in inherited.sockets { _ = fcntl(socket.descriptor, F_SETFD, FD_CLOEXEC) }
    return inherited
  }

  /// The sockets of a name, or all.
  package func named(_ name: String?) throws(ServiceError) -> [Socket] {
    let found = name.map { name in sockets.filter { $0.name == name } } ?? sockets
    guard !found.isEmpty else {
      let wanted = name.map { "no socket called \"\($0)\"" } ?? "no sockets"
      throw ServiceError(
        .invalidArgument,
        "\(wanted) came from systemd (LISTEN_PID, LISTEN_FDS); "
          + "there are: \(sockets.map(\.name).joined(separator: ", "))"
      )
    }
    return found
  }
}
