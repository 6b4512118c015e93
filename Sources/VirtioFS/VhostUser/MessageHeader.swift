/// The 12 bytes before each message, in the byte order of the machine.
struct MessageHeader: BitwiseCopyable, Equatable {
  var request: UInt32
  var flags: UInt32
  var size: UInt32

  static let byteCount = 12
  /// No message that is understood here is longer.
  static let payloadLimit = 4096

  private static let version: UInt32 = 1
  private static let versionMask: UInt32 = 3
  private static let replyFlag: UInt32 = 1 << 2
  private static let needReplyFlag: UInt32 = 1 << 3

  /// A header to send.
  init(request: UInt32, size: Int, isReply: Bool = false, needsReply: Bool = false) {
    self.request = request
    self.flags =
      Self.version | (isReply ? Self.replyFlag : 0) | (needsReply ? Self.needReplyFlag : 0)
    self.size = UInt32(clamping: size)
  }

  /// A header from the front end, checked.
  ///
  /// - Precondition: There are 12 bytes.
  init(received: [UInt8]) throws(FrontEndFault) {
    let header = received.withUnsafeBytes { $0.loadUnaligned(as: MessageHeader.self) }
    guard header.flags & Self.versionMask == Self.version else {
      throw FrontEndFault("message \(header.request): version \(header.flags & 3) is not 1")
    }
    guard header.flags & ~(Self.versionMask | Self.needReplyFlag) == 0 else {
      throw FrontEndFault("message \(header.request): unknown flags \(header.flags)")
    }
    guard header.size <= Self.payloadLimit else {
      throw FrontEndFault(
        "message \(header.request): \(header.size) bytes, at most \(Self.payloadLimit) are allowed"
      )
    }
    self = header
  }

  /// Whether the front end wants an acknowledgement (if that was negotiated).
  var needsReply: Bool { flags & Self.needReplyFlag != 0 }
}

/// What a front end did that it must not do: ends the conversation, or is answered with a failure.
struct FrontEndFault: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}
