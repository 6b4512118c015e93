internal import Glibc
package import Platform

/// Bytes that are read at offsets: a file, memory, later an object somewhere else.
///
/// Reads block. Safe to use from any number of threads at once.
package protocol RandomAccessBytes: AnyObject, Sendable {
  /// How many bytes there are, or were when they were opened.
  var length: UInt64 { get }

  /// For messages: which bytes these are.
  var name: String { get }

  /// Reads until the buffer is full or the bytes end.
  ///
  /// - Returns: How many bytes of the buffer were filled.
  func read(
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(PackError) -> Int
}

extension RandomAccessBytes {
  /// Reads exactly as many bytes as the buffer has.
  func readExactly(
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(PackError) {
    let count = try read(at: offset, into: buffer)
    guard count == buffer.count else {
      throw PackError.damaged(
        "\(name) is cut short: \(buffer.count) bytes at \(offset), only \(count) are there"
      )
    }
  }
}

/// An open file. Read with `pread(2)`, never mapped: a file that is cut short is an error, not a signal.
package final class FileBytes: RandomAccessBytes {
  package let name: String
  package let length: UInt64
  private let file: OwnedDescriptor

  /// Takes over an open file.
  ///
  /// - Parameter name: For messages.
  package init(_ file: consuming OwnedDescriptor, name: String) throws(PackError) {
    var status = stat()
    let number = file.number
    _ = try systemCall("look at \(name)") { fstat(number, &status) }
    self.file = file
    self.name = name
    length = UInt64(clamping: status.st_size)
  }

  /// The descriptor, for calls of one's own; valid as long as this object lives.
  package func withDescriptor<Result>(_ body: (CInt) -> Result) -> Result { body(file.number) }

  package func read(
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(PackError) -> Int {
    try FileCalls.read(file.number, at: offset, into: buffer, name: name)
  }
}

/// Bytes in memory.
package final class MemoryBytes: RandomAccessBytes {
  package let name: String
  private let bytes: [UInt8]

  package init(_ bytes: [UInt8], name: String = "memory") {
    self.bytes = bytes
    self.name = name
  }

  package var length: UInt64 { UInt64(bytes.count) }

  package func read(
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(PackError) -> Int {
    guard offset < UInt64(bytes.count) else { return 0 }
    let start = Int(offset)
    let count = min(buffer.count, bytes.count - start)
    bytes.withUnsafeBytes { source in
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[start..<start + count]))
    }
    return count
  }
}
