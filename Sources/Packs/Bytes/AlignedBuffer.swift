internal import Glibc

/// Memory that direct I/O takes: aligned to pages.
final class AlignedBuffer: @unchecked Sendable {
  // Sendable: whoever holds the buffer uses it alone; it is handed from thread to thread through a lock.
  let bytes: UnsafeMutableRawBufferPointer

  init(count: Int) {
    bytes = .allocate(byteCount: count, alignment: 4096)
  }

  deinit {
    bytes.deallocate()
  }
}
