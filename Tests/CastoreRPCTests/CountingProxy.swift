import Foundation
import Glibc
import Platform

/// Stands between a client and a server's Unix socket, and counts the bytes that the server sends.
final class CountingProxy: Sendable {
  let path: String
  private let server: String
  private let listener: UnixListener
  private let sent = Guarded<UInt64>(0)

  /// How many bytes came from the server.
  var bytesSent: UInt64 { sent.withLock { $0 } }

  init(to server: String) throws {
    self.server = server
    path = NSTemporaryDirectory() + "castore-\(UUID().uuidString).proxy"
    listener = try UnixListener(path: path)
    let listener = listener
    let (server, sent) = (self.server, self.sent)
    let number = listener.takeSocket() ?? -1
    _ = fcntl(number, F_SETFL, 0)
    Thread.detachNewThread {
      while true {
        let client = accept(number, nil, nil)
        // The path is gone with the proxy, and nobody connects after that.
        guard client >= 0 else { return }
        let far = Self.connect(server)
        guard far >= 0 else {
          close(client)
          continue
        }
        Self.pump(from: client, to: far) { _ in }
        Self.pump(from: far, to: client) { count in sent.withLock { $0 += UInt64(count) } }
      }
    }
  }

  private static func pump(
    from source: CInt,
    to target: CInt,
    _ count: @escaping @Sendable (Int) -> Void
  ) {
    Thread.detachNewThread {
      var buffer = [UInt8](repeating: 0, count: 1 << 16)
      while case let read = recv(source, &buffer, buffer.count, 0), read > 0 {
        count(read)
        var sent = 0
        while sent < read {
          let more = buffer.withUnsafeBytes { bytes in
            send(
              target,
              bytes.baseAddress.map { $0 + sent },
              read - sent,
              CInt(MSG_NOSIGNAL)
            )
          }
          guard more > 0 else { break }
          sent += more
        }
      }
      // The other direction ends, too, and the descriptors stay until then: a test has few.
      shutdown(source, CInt(SHUT_RD))
      shutdown(target, CInt(SHUT_WR))
    }
  }

  private static func connect(_ path: String) -> CInt {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let number = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
    let status = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    if status != 0 { close(number) }
    return status == 0 ? number : -1
  }
}
