/// Writes protobuf fields without any rule, for making messages that must be refused.
struct MessageWriter {
  var bytes: [UInt8] = []

  static func varint(_ number: UInt64) -> [UInt8] {
    var (rest, bytes) = (number, [UInt8]())
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  static func field(_ number: UInt64, _ content: [UInt8]) -> [UInt8] {
    varint(number << 3 | 2) + varint(UInt64(content.count)) + content
  }

  static func field(_ number: UInt64, _ value: UInt64) -> [UInt8] {
    varint(number << 3) + varint(value)
  }

  static let digest = [UInt8](repeating: 7, count: 32)

  /// A directory entry.
  static func directory(_ name: String, digest: [UInt8] = digest, size: UInt64 = 1) -> [UInt8] {
    field(1, field(1, [UInt8](name.utf8)) + field(2, digest) + field(3, size))
  }

  /// A file entry.
  static func file(_ name: String, digest: [UInt8] = digest) -> [UInt8] {
    field(2, field(1, [UInt8](name.utf8)) + field(2, digest) + field(3, UInt64(5)))
  }

  /// A link entry.
  static func symlink(_ name: String, target: String = "t") -> [UInt8] {
    field(3, field(1, [UInt8](name.utf8)) + (target.isEmpty ? [] : field(2, [UInt8](target.utf8))))
  }
}
