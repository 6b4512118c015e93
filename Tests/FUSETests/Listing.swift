import Glibc
import Platform

struct ListedEntry: Equatable {
  var name: String
  var inode: UInt
  var cookie: Int
}

/// One `getdents64(2)`, through glibc's name for it.
@_silgen_name("getdents64")
private func getdents64(_ file: CInt, _ buffer: UnsafeMutableRawPointer, _ size: Int) -> Int

func batch(_ file: CInt, bufferSize: Int) throws -> [ListedEntry] {
  var buffer = [UInt64](repeating: 0, count: bufferSize / 8)
  return try buffer.withUnsafeMutableBytes { buffer in
    guard let base = buffer.baseAddress else { return [] }
    let count = getdents64(file, base, buffer.count)
    guard count >= 0 else { throw Errno.current }
    var result: [ListedEntry] = []
    var position = 0
    while position < count {
      let name = String(
        cString: (base + position + 19).assumingMemoryBound(to: CChar.self)
      )
      result.append(
        ListedEntry(
          name: name,
          inode: buffer.load(fromByteOffset: position, as: UInt.self),
          cookie: buffer.load(fromByteOffset: position + 8, as: Int.self)
        )
      )
      position += Int(buffer.load(fromByteOffset: position + 16, as: UInt16.self))
    }
    return result
  }
}

func entries(_ path: String, bufferSize: Int) throws -> [ListedEntry] {
  let file = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  guard file >= 0 else { throw Errno.current }
  defer { close(file) }
  var result: [ListedEntry] = []
  while true {
    let next = try batch(file, bufferSize: bufferSize)
    if next.isEmpty { return result }
    result += next
  }
}
