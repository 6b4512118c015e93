internal import Glibc
internal import Platform

/// The mounts of this process's namespace, from `/proc/self/mountinfo`. Reading it touches no file system.
struct MountTable {
  struct Entry: Hashable {
    /// Unique among the mounts that are there now.
    var id: UInt64
    /// `major:minor`.
    var device: String
    /// Bytes, with escapes undone.
    var mountPoint: [UInt8]
    var type: String
  }

  let entries: [Entry]

  init(parsing text: [UInt8]) {
    entries = text.split(separator: UInt8(ascii: "\n")).compactMap(Self.parse)
  }

  static func current() throws(Errno) -> MountTable {
    MountTable(parsing: try readFile("/proc/self/mountinfo"))
  }

  /// The mount that a path leads to, if the path is a mount point.
  func top(at path: [UInt8]) -> Entry? {
    entries.last { $0.mountPoint == path }
  }

  // "36 35 98:0 /root /mount/point options optional... - type source superoptions"
  private static func parse(_ line: ArraySlice<UInt8>) -> Entry? {
    let fields = line.split(separator: UInt8(ascii: " "))
    guard fields.count >= 7, let id = UInt64(String(decoding: fields[0], as: UTF8.self)),
      let dash = fields.indices.dropFirst(6).first(where: { fields[$0].elementsEqual("-".utf8) }),
      dash + 1 < fields.count
    else { return nil }
    return Entry(
      id: id,
      device: String(decoding: fields[2], as: UTF8.self),
      mountPoint: unescape(fields[4]),
      type: String(decoding: fields[dash + 1], as: UTF8.self)
    )
  }

  /// Undoes the three octal digits behind a backslash.
  static func unescape(_ field: ArraySlice<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    var rest = field
    while let byte = rest.popFirst() {
      let digits = rest.prefix(3)
      guard byte == UInt8(ascii: "\\"), digits.count == 3,
        digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "7")).contains($0) })
      else {
        result.append(byte)
        continue
      }
      let value = digits.reduce(0) { $0 * 8 + Int($1 - UInt8(ascii: "0")) }
      result.append(UInt8(truncatingIfNeeded: value))
      rest = rest.dropFirst(3)
    }
    return result
  }
}

/// Reads a whole file of unknown size.
func readFile(_ path: String) throws(Errno) -> [UInt8] {
  let number = try retryingOnInterrupt { open(path, O_RDONLY | O_CLOEXEC) }
  let file = OwnedDescriptor(adopting: number)
  var content: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let count = try retryingOnInterrupt { read(file.number, &chunk, chunk.count) }
    if count == 0 { return content }
    content.append(contentsOf: chunk[..<count])
  }
}
