package import GRPCCore
package import SwiftProtobuf

/// Turns generated messages into bytes and back.
package struct ProtobufCodec<Message: SwiftProtobuf.Message>: MessageSerializer,
  MessageDeserializer
{
  /// Makes a codec.
  package init() {}

  package func serialize<Bytes: GRPCContiguousBytes>(_ message: Message) throws -> Bytes {
    let bytes: [UInt8] = try message.serializedBytes()
    return Bytes(bytes)
  }

  package func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> Message {
    do {
      return try Message(serializedBytes: bytes.withUnsafeBytes { [UInt8]($0) })
    } catch {
      // What other servers of the protocol say to a message that cannot be decoded.
      throw RPCError(
        code: .internalError,
        message: "cannot decode a message of type \(Message.protoMessageName)",
        cause: error
      )
    }
  }
}
