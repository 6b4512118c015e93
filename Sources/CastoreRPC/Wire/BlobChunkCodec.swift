import CastoreProtos
package import GRPCCore
import SwiftProtobuf

/// Turns runs of a blob's bytes into `BlobChunk` messages and back, with one copy each way.
package struct BlobChunkCodec: MessageSerializer, MessageDeserializer {
  // Field 1, length-delimited.
  private static let tag: UInt8 = 0x0a

  /// Makes a codec.
  package init() {}

  package func serialize<Bytes: GRPCContiguousBytes>(_ message: [UInt8]) throws -> Bytes {
    Self.encode(message, after: [])
  }

  /// Writes the bytes as the message's field, after other fields.
  static func encode<Bytes: GRPCContiguousBytes>(
    _ message: [UInt8],
    after prefix: [UInt8]
  ) -> Bytes {
    // An empty field is left out.
    if message.isEmpty { return Bytes(prefix) }
    var header = prefix + [tag]
    var count = message.count
    while count >= 0x80 {
      header.append(UInt8(truncatingIfNeeded: count) | 0x80)
      count >>= 7
    }
    header.append(UInt8(count))
    var bytes = Bytes(repeating: 0, count: header.count + message.count)
    bytes.withUnsafeMutableBytes { bytes in
      bytes.copyBytes(from: header)
      UnsafeMutableRawBufferPointer(rebasing: bytes[header.count...]).copyBytes(from: message)
    }
    return bytes
  }

  package func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> [UInt8] {
    let data: [UInt8]? = bytes.withUnsafeBytes { bytes in
      if bytes.isEmpty { return [] }
      return Self.soleField(of: bytes).map { [UInt8](UnsafeRawBufferPointer(rebasing: bytes[$0])) }
    }
    if let data { return data }
    // Unusual but perhaps valid: unknown fields, the field twice.
    return try [UInt8](ProtobufCodec<ProtoBlobChunk>().deserialize(bytes).data)
  }

  // Where the data lies in a message that consists of nothing else.
  static func soleField(of bytes: UnsafeRawBufferPointer) -> Range<Int>? {
    guard bytes.first == tag else { return nil }
    var length = 0
    for index in 1..<Swift.min(bytes.count, 6) {
      length |= Int(bytes[index] & 0x7f) << (7 * (index - 1))
      if bytes[index] & 0x80 == 0 {
        let start = index + 1
        return length == bytes.count - start ? start..<bytes.count : nil
      }
    }
    return nil
  }
}
