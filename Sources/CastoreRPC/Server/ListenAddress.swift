package import Castore

/// Where a server listens.
package enum ListenAddress: Hashable, Sendable {
  /// A name or number, and a port; port 0 takes a free one. An empty host stands for all interfaces.
  case tcp(host: String, port: UInt16)
  /// A Unix socket.
  case unix(path: String)
  /// Sockets that systemd opened; those of one name (`FileDescriptorName=`), or all.
  case inherited(name: String?)

  /// Reads `HOST:PORT`, `[V6]:PORT`, `:PORT`, `unix:PATH`, `/PATH`, `./PATH`, `sd-listen`, `sd-listen:NAME`.
  package init(_ text: String) throws(ServiceError) {
    let expected = "expected HOST:PORT, [IPV6]:PORT, unix:PATH, sd-listen or sd-listen:NAME"
    func refusal(_ reason: String) -> ServiceError {
      ServiceError(.invalidArgument, "cannot listen on \"\(text)\": \(reason); \(expected)")
    }
    if text == "sd-listen" {
      self = .inherited(name: nil)
    } else if let name = text.rest(after: "sd-listen:") {
      guard !name.isEmpty else { throw refusal("the name is empty") }
      self = .inherited(name: name)
    } else if text.utf8.starts(with: "/".utf8) || text.utf8.starts(with: "./".utf8) {
      self = .unix(path: text)
    } else if var path = text.rest(after: "unix:") {
      if let rest = path.rest(after: "//") { path = rest }
      guard !path.isEmpty else { throw refusal("the path is empty") }
      self = .unix(path: path)
    } else {
      guard let colon = text.lastIndex(of: ":") else { throw refusal("there is no port") }
      var host = String(text[..<colon])
      guard let port = UInt16(text[text.index(after: colon)...]) else {
        throw refusal("the port is not a number from 0 to 65535")
      }
      if host.utf8.first == UInt8(ascii: "[") && host.utf8.last == UInt8(ascii: "]") {
        host = String(host.dropFirst().dropLast())
        guard host.contains(":") else { throw refusal("the brackets hold no IPv6 address") }
      } else if host.contains(":") {
        throw refusal("an IPv6 address stands in brackets")
      }
      if host == "*" { host = "" }
      self = .tcp(host: host, port: port)
    }
  }
}

extension ListenAddress: CustomStringConvertible {
  /// The address as `init(_:)` reads it.
  package var description: String {
    switch self {
    case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .unix(let path): "unix:\(path)"
    case .inherited(let name): name.map { "sd-listen:\($0)" } ?? "sd-listen"
    }
  }
}

extension String {
  // Compares code units, as `hasPrefix` does not.
  fileprivate func rest(after prefix: String) -> String? {
    utf8.starts(with: prefix.utf8) ? String(dropFirst(prefix.count)) : nil
  }
}
