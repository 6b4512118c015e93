/// A message with the descriptors that came along, as it was received.
struct ReceivedMessage {
  let header: MessageHeader
  let payload: [UInt8]
  let files: [ReceivedFile]
}

/// Takes a message apart: its payload from front to back, and its files.
struct MessageReader {
  private let message: ReceivedMessage
  private let request: VhostUserRequest
  private var position = 0
  private var filesTaken = 0

  init(_ message: ReceivedMessage, _ request: VhostUserRequest) {
    self.message = message
    self.request = request
  }

  /// How many bytes are left.
  var remaining: Int { message.payload.count - position }

  func fault(_ what: String) -> FrontEndFault { FrontEndFault("message \(request): \(what)") }

  /// Reads the next bytes as a fixed layout.
  mutating func take<Layout: BitwiseCopyable>(
    _ type: Layout.Type = Layout.self
  ) throws(FrontEndFault) -> Layout {
    let size = MemoryLayout<Layout>.size
    guard size <= remaining else {
      throw fault("\(message.payload.count) bytes of payload are too few")
    }
    defer { position += size }
    return message.payload.withUnsafeBytes {
      $0.loadUnaligned(fromByteOffset: position, as: type)
    }
  }

  /// Takes all bytes that are left.
  mutating func takeRest() -> ArraySlice<UInt8> {
    defer { position = message.payload.count }
    return message.payload[position...]
  }

  mutating func takeFileIfAny() -> ReceivedFile? {
    guard filesTaken < message.files.count else { return nil }
    defer { filesTaken += 1 }
    return message.files[filesTaken]
  }

  mutating func takeFile() throws(FrontEndFault) -> ReceivedFile {
    guard let file = takeFileIfAny() else { throw fault("came without its descriptor") }
    return file
  }

  /// Nothing may be left.
  func finish() throws(FrontEndFault) {
    guard remaining == 0 else {
      throw fault("\(message.payload.count) bytes of payload are too many")
    }
    guard filesTaken == message.files.count else { throw fault("came with too many descriptors") }
  }
}
