import Glibc
import NixCompat
import Platform
import Synchronization

/// Reads a small file whole; `-` is standard input.
func readAll(of path: String, limit: Int) throws -> [UInt8] {
  let input = try openInput(path)
  var bytes: [UInt8] = []
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 64)
  defer { buffer.deallocate() }
  while true {
    let count = try readSome(input.number, into: buffer, of: path)
    if count == 0 { return bytes }
    bytes.append(contentsOf: buffer[..<count])
    if bytes.count > limit {
      throw CommandError("\(path) is too large: more than \(limit) bytes")
    }
  }
}

/// Opens a file for reading; `-` is standard input.
func openInput(_ path: String) throws -> OwnedDescriptor {
  let number = path == "-" ? dup(0) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
  guard number >= 0 else { throw CommandError("cannot open \(path): \(Errno.current)") }
  return OwnedDescriptor(adopting: number)
}

private func readSome(
  _ number: CInt,
  into buffer: UnsafeMutableRawBufferPointer,
  of path: String
) throws -> Int {
  do {
    return try retryingOnInterrupt { read(number, buffer.baseAddress, buffer.count) }
  } catch {
    throw CommandError("cannot read \(path): \(error)")
  }
}

/// Standard input as the source of an archive, counted.
final class StandardInput: Sendable {
  private let count = Atomic<UInt64>(0)

  /// How many bytes came so far.
  var byteCount: UInt64 { count.load(ordering: .relaxed) }

  /// Reads from where standard input is.
  var source: Source { Source(input: self) }

  struct Source: ByteSource, Sendable {
    let input: StandardInput

    mutating func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
      let count = try readSome(0, into: buffer, of: "standard input")
      input.count.wrappingAdd(UInt64(count), ordering: .relaxed)
      return count
    }
  }
}
