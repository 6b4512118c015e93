internal import Glibc

/// Where the index is mapped, for telling the kernel which of its pages we do not need.
///
/// Each page that a lookup touches, with some of its neighbours, counts as memory of the process until
/// it is let go of, though it lies in the page cache that all processes share.
struct IndexMap: Sendable {
  private let start: UInt

  /// Finds the mapping of a file; `nil` where `/proc` does not show it. LMDB does not tell.
  ///
  /// - Parameters:
  ///   - inode: The file's inode number.
  ///   - size: The least length of the mapping, which tells it from others of the same number.
  init?(inode: ino_t, size: Int) {
    guard let file = fopen("/proc/self/maps", "re") else { return nil }
    defer { fclose(file) }
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    defer { free(line) }
    while getline(&line, &capacity, file) > 0 {
      guard let line else { break }
      // address-address permissions offset device inode path
      let fields = String(cString: line).split(separator: " ", maxSplits: 5)
      guard fields.count >= 5, UInt64(fields[4]) == UInt64(inode) else { continue }
      let bounds = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
      if bounds.count == 2 && bounds[1] &- bounds[0] >= UInt(size) {
        start = bounds[0]
        return
      }
    }
    return nil
  }

  /// Where bytes of the mapping lie in the file, which is mapped from its start.
  func offset(of bytes: UnsafeRawBufferPointer) -> Int? {
    guard let address = bytes.baseAddress, UInt(bitPattern: address) >= start else { return nil }
    return Int(exactly: UInt(bitPattern: address) - start)
  }

  /// Lets go of the pages of the first `size` bytes. Whoever reads them at the same time, or later,
  /// finds the same bytes there: the mapping is shared, and its pages stay in the page cache.
  func releasePages(size: UInt64) {
    guard let address = UnsafeMutableRawPointer(bitPattern: start) else { return }
    madvise(address, Int(clamping: size), MADV_DONTNEED)
  }

  /// How many bytes of mapped files count as memory of this process; 0 where `/proc` does not say.
  static func residentFileBytes() -> Int {
    let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return 0 }
    defer { close(file) }
    return withUnsafeTemporaryAllocation(byteCount: 128, alignment: 1) { buffer in
      let count = read(file, buffer.baseAddress, buffer.count)
      guard count > 0 else { return 0 }
      // Pages: size, resident, shared (those of files), ...
      let words = buffer[..<count].split(separator: UInt8(ascii: " "), maxSplits: 3)
      guard words.count > 2 else { return 0 }
      var pages = 0
      for byte in words[2] where (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
        pages = pages &* 10 &+ Int(byte - UInt8(ascii: "0"))
      }
      return pages &* sysconf(Int32(_SC_PAGESIZE))
    }
  }
}
