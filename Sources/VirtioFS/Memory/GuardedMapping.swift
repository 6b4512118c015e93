internal import CLinux
internal import Glibc
internal import Platform

/// A file of another process, mapped for as long as this lives.
///
/// A page of it that is not to be had when it is touched (a full tmpfs, an empty pool of huge pages, a file
/// that was cut) would end the process with SIGBUS. A handler puts an empty page of our own in its place
/// instead, and the mapping is broken from then on.
// Sendable: the guard is a number of C's, whose functions are safe on any thread.
final class GuardedMapping: @unchecked Sendable {
  /// Valid while the mapping lives.
  let start: UInt
  private let length: Int
  private let pageGuard: OpaquePointer

  /// - Parameters:
  ///   - offset: A multiple of the page.
  ///   - page: How the file's memory comes: 4096 bytes, or huge pages. Divides `length`.
  init(
    _ file: borrowing OwnedDescriptor,
    offset: off_t,
    length: Int,
    page: Int
  ) throws(Errno) {
    let flags = MAP_SHARED | MAP_NORESERVE
    let address = mmap(nil, length, PROT_READ | PROT_WRITE, flags, file.number, offset)
    guard let address, address != MAP_FAILED else { throw .current }
    // Another's memory is no help in our core dumps, and may be secret. Failure changes nothing.
    _ = madvise(address, length, CInt(CLinux_MADV_DONTDUMP))
    guard let pageGuard = CLinux_guard_begin(address, length, page) else {
      munmap(address, length)
      throw Errno(ENOMEM)
    }
    self.pageGuard = pageGuard
    self.length = length
    start = UInt(bitPattern: address)
  }

  deinit {
    CLinux_guard_end(pageGuard)
    munmap(UnsafeMutableRawPointer(bitPattern: start), length)
  }

  /// Whether a page was missing. True at once on the thread that touched it.
  var isBroken: Bool { CLinux_guard_tripped(pageGuard) != 0 }
}
