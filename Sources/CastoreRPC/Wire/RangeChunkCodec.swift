import CastoreProtos
import GRPCCore
import SwiftProtobuf

/// Some bytes of a blob, the first of which come with the length of the whole.
struct RangeChunk: Sendable {
  var bytes: [UInt8]
  var blobSize: UInt64?
}

/// Turns bytes of blobs into `RangeChunk` messages and back, with one copy each way.
struct RangeChunkCodec: MessageSerializer, MessageDeserializer {
  // Field 2, a number. It is written first, so that what follows is like a `BlobChunk`.
  private static let sizeTag: UInt8 = 0x10

  func serialize<Bytes: GRPCContiguousBytes>(_ message: RangeChunk) throws -> Bytes {
    guard let size = message.blobSize else { return try BlobChunkCodec().serialize(message.bytes) }
    var prefix: [UInt8] = [Self.sizeTag]
    var rest = size
    while rest >= 0x80 {
      prefix.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    prefix.append(UInt8(rest))
    return BlobChunkCodec.encode(message.bytes, after: prefix)
  }

  func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> RangeChunk {
    let known: RangeChunk? = bytes.withUnsafeBytes { bytes in
      let (size, start) = Self.size(in: bytes)
      let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
      if rest.isEmpty { return RangeChunk(bytes: [], blobSize: size) }
      return BlobChunkCodec.soleField(of: rest).map { range in
        RangeChunk(bytes: [UInt8](UnsafeRawBufferPointer(rebasing: rest[range])), blobSize: size)
      }
    }
    if let known { return known }
    let message = try ProtobufCodec<ProtoRangeChunk>().deserialize(bytes)
    return RangeChunk(bytes: [UInt8](message.data), blobSize: message.blobSize)
  }

  // The number that stands first, and where it ends; nothing where another field does.
  private static func size(in bytes: UnsafeRawBufferPointer) -> (UInt64?, Int) {
    guard bytes.first == sizeTag else { return (nil, 0) }
    var size: UInt64 = 0
    for index in 1..<Swift.max(1, Swift.min(bytes.count, 10)) {
      size |= UInt64(bytes[index] & 0x7f) << (7 * UInt64(index - 1))
      if bytes[index] & 0x80 == 0 { return (size, index + 1) }
    }
    return (nil, 0)
  }
}
