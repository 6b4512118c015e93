internal import Glibc
internal import Platform

/// Sends replies to the kernel: one `writev(2)` each.
final class DeviceChannel: ReplyChannel {
  private let connection: KernelConnection
  private let onFault: (@Sendable (String) -> Void)?

  init(_ connection: KernelConnection, onFault: (@Sendable (String) -> Void)?) {
    self.connection = connection
    self.onFault = onFault
  }

  func send(_ header: ReplyHeader, body: UnsafeRawBufferPointer, token: UInt) -> SendResult {
    var header = header
    let code = withUnsafeMutableBytes(of: &header) { header in
      // The kernel only reads through these; iovec has no const.
      var parts = (
        iovec(iov_base: header.baseAddress, iov_len: header.count),
        iovec(iov_base: UnsafeMutableRawPointer(mutating: body.baseAddress), iov_len: body.count)
      )
      return withUnsafePointer(to: &parts) { parts in
        // A homogeneous tuple lies in memory like an array.
        parts.withMemoryRebound(to: iovec.self, capacity: 2) { parts in
          while true {
            let count = writev(connection.unguarded, parts, body.isEmpty ? 1 : 2)
            if count != -1 { return CInt(0) }
            let code = errno
            if code != EINTR { return code }
          }
        }
      }
    }
    switch code {
    case 0: return .sent
    // Interrupted, aborted or unmounted meanwhile.
    case ENOENT, ENODEV, EPERM: return .clientGone
    case EFAULT: return .failed
    default:
      onFault?(
        "reply of \(header.length) bytes with error \(-header.error) was refused: \(Errno(code))"
      )
      return .failed
    }
  }
}
