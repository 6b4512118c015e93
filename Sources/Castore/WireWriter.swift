/// Writes nodes as protobuf fields, in canonical form.
struct WireWriter {
  private(set) var bytes: [UInt8] = []

  mutating func reserve(_ byteCount: Int) {
    bytes.reserveCapacity(byteCount)
  }

  /// Appends a node as the field that stands for its kind in `Directory` and `Node` messages alike;
  /// an empty name is left out.
  mutating func append(_ node: Node, name: [UInt8]) {
    append(tag: node.kind.rawValue, Self.delimited)
    append(number: UInt64(Self.bodyByteCount(of: node, name: name)))
    if !name.isEmpty { append(field: 1, name) }
    switch node {
    case .directory(let digest, let size):
      append(digest, size: size)
    case .file(let digest, let size, let isExecutable):
      append(digest, size: size)
      if isExecutable {
        append(tag: 4, Self.varint)
        append(number: 1)
      }
    case .symlink(let target):
      append(field: 2, target.bytes)
    }
  }

  private mutating func append(_ digest: B3Digest, size: UInt64) {
    append(tag: 2, Self.delimited)
    append(number: UInt64(B3Digest.byteCount))
    digest.withUnsafeBytes { bytes.append(contentsOf: $0) }
    if size != 0 {
      append(tag: 3, Self.varint)
      append(number: size)
    }
  }

  private mutating func append(field: UInt8, _ content: [UInt8]) {
    append(tag: field, Self.delimited)
    append(number: UInt64(content.count))
    bytes.append(contentsOf: content)
  }

  private mutating func append(tag field: UInt8, _ type: UInt8) {
    bytes.append(field << 3 | type)
  }

  private mutating func append(number: UInt64) {
    var rest = number
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }

  /// How many bytes `append(_:name:)` writes.
  static func byteCount(of node: Node, name: [UInt8]) -> Int {
    let body = bodyByteCount(of: node, name: name)
    return 1 + byteCount(of: UInt64(body)) + body
  }

  private static func bodyByteCount(of node: Node, name: [UInt8]) -> Int {
    var count = name.isEmpty ? 0 : fieldByteCount(name)
    switch node {
    case .directory(_, let size):
      count += 2 + B3Digest.byteCount + (size == 0 ? 0 : 1 + byteCount(of: size))
    case .file(_, let size, let isExecutable):
      count += 2 + B3Digest.byteCount + (size == 0 ? 0 : 1 + byteCount(of: size))
      if isExecutable { count += 2 }
    case .symlink(let target):
      count += fieldByteCount(target.bytes)
    }
    return count
  }

  private static func fieldByteCount(_ content: [UInt8]) -> Int {
    1 + byteCount(of: UInt64(content.count)) + content.count
  }

  private static func byteCount(of number: UInt64) -> Int {
    // Seven bits a byte, and one byte for zero.
    (UInt64.bitWidth - (number | 1).leadingZeroBitCount + 6) / 7
  }

  private static var varint: UInt8 { 0 }
  private static var delimited: UInt8 { 2 }
}
