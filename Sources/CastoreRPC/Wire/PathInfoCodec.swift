import CastoreProtos
package import GRPCCore
package import NixStore
import SwiftProtobuf

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Turns `PathInfo` messages into their fields and back. Whether they make a path info is checked by who
/// takes them.
///
/// Nothing is named by the digest of such a message, so fields that nobody knows are passed over.
package struct PathInfoCodec: MessageSerializer, MessageDeserializer {
  /// Makes a codec.
  package init() {}

  package func serialize<Bytes: GRPCContiguousBytes>(_ message: PathInfoMessage) throws -> Bytes {
    Bytes(message.encoded())
  }

  package func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> PathInfoMessage {
    try PathInfoMessage(decode(ProtoPathInfo.self, bytes))
  }
}

/// Turns messages `Node` into their canonical bytes and back; what they hold is not checked.
package struct NodeCodec: MessageSerializer, MessageDeserializer {
  /// Makes a codec.
  package init() {}

  package func serialize<Bytes: GRPCContiguousBytes>(_ message: [UInt8]) throws -> Bytes {
    Bytes(message)
  }

  package func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> [UInt8] {
    try decode(ProtoNode.self, bytes).serializedBytes()
  }
}

private func decode<Message: SwiftProtobuf.Message>(
  _ type: Message.Type,
  _ bytes: some GRPCContiguousBytes
) throws -> Message {
  var options = BinaryDecodingOptions()
  options.discardUnknownFields = true
  do {
    return try Message(
      serializedBytes: bytes.withUnsafeBytes { [UInt8]($0) },
      options: options
    )
  } catch {
    throw RPCError(
      code: .internalError,
      message: "cannot decode a message of type \(Message.protoMessageName)",
      cause: error
    )
  }
}

extension PathInfoMessage {
  fileprivate init(_ proto: ProtoPathInfo) throws {
    self.init()
    if proto.hasNode { node = try proto.node.serializedBytes() }
    references = proto.references.map { [UInt8]($0) }
    if proto.hasNarinfo { narInfo = NARFields(proto.narinfo) }
  }
}

extension PathInfoMessage.NARFields {
  fileprivate init(_ proto: ProtoNARInfo) {
    self.init()
    narSize = proto.narSize
    narSHA256 = [UInt8](proto.narSha256)
    signatures = proto.signatures.map { signature in
      PathInfoMessage.NamedBytes(name: signature.name, bytes: [UInt8](signature.data))
    }
    referenceNames = proto.referenceNames
    if proto.hasDeriver {
      deriver = PathInfoMessage.NamedBytes(
        name: proto.deriver.name,
        bytes: [UInt8](proto.deriver.digest)
      )
    }
    if proto.hasCa {
      contentAddress = PathInfoMessage.Address(
        // A negative number is one that no kind has, too.
        kind: UInt64(exactly: proto.ca.type.rawValue) ?? .max,
        digest: [UInt8](proto.ca.digest)
      )
    }
  }
}
