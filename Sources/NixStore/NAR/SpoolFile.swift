internal import Castore
internal import Glibc
internal import Platform

extension TreeSink {
  /// Stores a blob of any length, of which nobody holds a file: through a temporary file where the sink
  /// cannot take it piece by piece.
  func putBlob(
    anyLengthReading source: (UnsafeMutableRawBufferPointer) throws(ServiceError) -> Int
  ) throws(ServiceError) -> (digest: B3Digest, size: UInt64) {
    if let sink = self as? any StreamingTreeSink { return try sink.putBlob(reading: source) }
    let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var name = Array("\(folder)/castore-XXXXXX".utf8CString)
    let number = mkstemp(&name)
    if number == -1 {
      throw ServiceError(.current, "cannot make a temporary file in \(folder)")
    }
    _ = fcntl(number, F_SETFD, FD_CLOEXEC)
    // Without a name it is gone with the descriptor, whatever happens.
    unlink(name)
    let file = OwnedDescriptor(adopting: number)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    while true {
      let count = try source(buffer)
      if count == 0 { break }
      try write(UnsafeRawBufferPointer(rebasing: buffer[..<count]), to: file, in: folder)
    }
    return try putBlob(from: file, progress: { _ in })
  }

  private func write(
    _ bytes: UnsafeRawBufferPointer,
    to file: borrowing OwnedDescriptor,
    in folder: String
  ) throws(ServiceError) {
    let number = file.number
    var rest = bytes
    while let base = rest.baseAddress, !rest.isEmpty {
      do throws(Errno) {
        let count = try retryingOnInterrupt { Glibc.write(number, base, rest.count) }
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      } catch {
        throw ServiceError(error, "cannot write a temporary file in \(folder)")
      }
    }
  }
}
