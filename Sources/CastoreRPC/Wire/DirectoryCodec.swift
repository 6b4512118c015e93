package import GRPCCore

/// Hands the bytes of `Directory` messages through.
///
/// The bytes are what is hashed and what must be canonical, so they are decoded by the data model's own
/// strict reader and never by a tolerant one.
package struct DirectoryCodec: MessageSerializer, MessageDeserializer {
  /// Makes a codec.
  package init() {}

  package func serialize<Bytes: GRPCContiguousBytes>(_ message: [UInt8]) throws -> Bytes {
    Bytes(message)
  }

  package func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> [UInt8] {
    bytes.withUnsafeBytes { [UInt8]($0) }
  }
}
