import BLAKE3
import Castore

/// The parts of a blob that can be checked one by one: subtrees of its hash tree, with their chaining values.
struct BlobGroups: Sendable {
  /// The blob's length.
  let size: UInt64
  /// The length of all parts but the last: a power of two.
  let groupSize: UInt64
  private let values: [BLAKE3.Digest]

  /// Takes values that make up a digest; `nil` where they do not.
  init?(size: UInt64, groupSize: UInt64, values: [BLAKE3.Digest], of digest: B3Digest) {
    guard groupSize >= 1024, groupSize.nonzeroBitCount == 1, values.count >= 2,
      UInt64(values.count) == (size - 1) / groupSize + 1,
      B3Digest(BLAKE3.root(of: values)) == digest
    else { return nil }
    self.size = size
    self.groupSize = groupSize
    self.values = values
  }

  /// How long the groups of a blob are: so many of them that their values fit a message.
  static func groupSize(of size: UInt64) -> UInt64 {
    var groupSize: UInt64 = 1 << 20
    while size / groupSize >= 1 << 16 { groupSize *= 2 }
    return groupSize
  }

  /// How many there are.
  var count: Int { values.count }

  /// The values' bytes.
  var encodedValues: [UInt8] {
    values.withUnsafeBytes { [UInt8]($0) }
  }

  /// Where a group lies.
  func range(of index: Int) -> Range<UInt64> {
    let start = UInt64(index) * groupSize
    return start..<min(start + groupSize, size)
  }

  /// Whether bytes are those of a group.
  func isGroup(_ index: Int, _ bytes: [UInt8]) -> Bool {
    let range = range(of: index)
    guard UInt64(bytes.count) == range.upperBound - range.lowerBound else { return false }
    return Self.value(of: bytes, at: range.lowerBound).bytes == values[index].bytes
  }

  /// The chaining value of a group's bytes.
  static func value(of bytes: [UInt8], at offset: UInt64) -> BLAKE3.Digest {
    bytes.withUnsafeBytes { value(of: $0, at: offset) }
  }

  /// The chaining value of a group's bytes.
  static func value(of bytes: UnsafeRawBufferPointer, at offset: UInt64) -> BLAKE3.Digest {
    BLAKE3.subtreeCV(bytes, chunk: offset / UInt64(BLAKE3.chunkLength))
  }

  /// Reads the values of a message.
  static func decode(_ bytes: [UInt8]) -> [BLAKE3.Digest]? {
    guard bytes.count.isMultiple(of: BLAKE3.Digest.byteCount) else { return nil }
    return stride(from: 0, to: bytes.count, by: BLAKE3.Digest.byteCount).compactMap { start in
      BLAKE3.Digest([UInt8](bytes[start..<(start + BLAKE3.Digest.byteCount)]))
    }
  }
}
