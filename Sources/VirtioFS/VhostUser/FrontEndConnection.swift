internal import CLinux
internal import Glibc
internal import Platform

/// The socket to the front end: whole messages in, whole replies out.
///
/// Belongs to the server's thread. Waiting ends when `stop` is signalled.
final class FrontEndConnection {
  private let socket: OwnedDescriptor
  private let stop: Notifier

  init(_ socket: consuming OwnedDescriptor, stop: Notifier) {
    self.socket = socket
    self.stop = stop
  }

  /// Why no message came.
  enum Interruption: Error {
    /// The front end closed the connection, or broke it in the middle of a message.
    case disconnected
    /// The server is to stop.
    case stopped
    /// The front end does not keep to the protocol, and its next message cannot be found.
    case broken(FrontEndFault)
  }

  /// Waits for the next message.
  func receive() throws(Interruption) -> ReceivedMessage {
    var files: [ReceivedFile] = []
    var head = [UInt8](repeating: 0, count: MessageHeader.byteCount)
    try fill(&head, &files)
    let header: MessageHeader
    do throws(FrontEndFault) {
      header = try MessageHeader(received: head)
    } catch {
      throw .broken(error)
    }
    var payload = [UInt8](repeating: 0, count: Int(header.size))
    let expected = files.count
    try fill(&payload, &files)
    guard files.count == expected else {
      throw .broken(
        FrontEndFault("message \(header.request): descriptors behind the header")
      )
    }
    return ReceivedMessage(header: header, payload: payload, files: files)
  }

  private func fill(
    _ bytes: inout [UInt8],
    _ files: inout [ReceivedFile]
  ) throws(Interruption) {
    var done = 0
    while done < bytes.count {
      try waitForInput()
      var numbers = [CInt](repeating: -1, count: FrontEndMessage.regionLimit)
      var received = 0
      var truncated: CInt = 0
      let rest = bytes.count - done
      let count = bytes.withUnsafeMutableBytes { bytes in
        // In bounds: `done` is below the count, so there is a base address.
        bytes.baseAddress.map { base in
          CLinux_receive_descriptors(
            socket.number,
            base + done,
            rest,
            CInt(MSG_DONTWAIT),
            &numbers,
            numbers.count,
            &received,
            &truncated
          )
        } ?? 0
      }
      if count == -1 {
        if errno == EINTR || errno == EAGAIN { continue }
        throw .disconnected
      }
      files += numbers[..<received].map { ReceivedFile(adopting: $0) }
      guard count > 0 else { throw .disconnected }
      guard truncated == 0, files.count <= FrontEndMessage.regionLimit else {
        throw .broken(FrontEndFault("a message came with too many descriptors"))
      }
      done += count
    }
  }

  private func waitForInput() throws(Interruption) {
    switch wait(for: nil, events: CInt(POLLIN), until: nil) {
    case .interrupted(let reason): throw reason
    case .input, .signal, .timeout: return
    }
  }

  private enum Wake {
    case input
    case signal
    case timeout
    case interrupted(Interruption)
  }

  /// Waits for a signal of ours, unless the front end goes away or the server is to stop.
  ///
  /// - Returns: False if none came in time.
  func wait(
    for notifier: Notifier,
    until deadline: ContinuousClock.Instant
  ) throws(Interruption) -> Bool {
    switch wait(for: notifier, events: CInt(CLinux_POLLRDHUP), until: deadline) {
    case .interrupted(let reason): throw reason
    // Hung up.
    case .input: throw .disconnected
    case .timeout: return false
    case .signal:
      notifier.consume()
      return true
    }
  }

  private func wait(
    for notifier: Notifier?,
    events: CInt,
    until deadline: ContinuousClock.Instant?
  ) -> Wake {
    var files = [
      pollfd(fd: socket.number, events: Int16(truncatingIfNeeded: events), revents: 0),
      pollfd(fd: stop.number, events: Int16(POLLIN), revents: 0),
      // A negative number is passed over.
      pollfd(fd: notifier?.number ?? -1, events: Int16(POLLIN), revents: 0),
    ]
    while true {
      var milliseconds: CInt = -1
      if let deadline {
        // Below an hour by the configuration's check. Rounded up, so as not to spin at the end.
        let rest = (deadline - .now) / .milliseconds(1)
        milliseconds = CInt(max(0, rest.rounded(.up)))
      }
      let count = poll(&files, nfds_t(files.count), milliseconds)
      guard count != -1 else {
        if errno == EINTR { continue }
        return .interrupted(.disconnected)
      }
      if count == 0 { return .timeout }
      if files[1].revents != 0 { return .interrupted(.stopped) }
      if files[2].revents != 0 { return .signal }
      return .input
    }
  }

  /// Sends a reply, with a descriptor that stays the caller's.
  ///
  /// A front end that does not read its replies is disconnected: they are so short that the socket has
  /// always room for them.
  func reply<Payload: BitwiseCopyable>(
    to request: UInt32,
    _ payload: Payload,
    descriptor: CInt? = nil
  ) throws(Interruption) {
    let bytes = withUnsafeBytes(of: payload) { Array($0) }
    try reply(to: request, bytes: bytes, descriptor: descriptor)
  }

  /// Sends a reply.
  func reply(
    to request: UInt32,
    bytes: [UInt8],
    descriptor: CInt? = nil
  ) throws(Interruption) {
    let header = MessageHeader(request: request, size: bytes.count, isReply: true)
    var message = [UInt8]()
    withUnsafeBytes(of: header) { message.append(contentsOf: $0) }
    message.append(contentsOf: bytes)
    let count = message.withUnsafeBytes { message in
      message.baseAddress.map { base in
        var number = descriptor ?? -1
        return CLinux_send_descriptors(
          socket.number,
          base,
          message.count,
          CInt(MSG_DONTWAIT),
          &number,
          descriptor == nil ? 0 : 1
        )
      } ?? -1
    }
    guard count == message.count else { throw .disconnected }
  }
}
