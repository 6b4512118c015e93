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
  /// How many bytes of files this process has mapped, as far as they count as its memory; `nil` where
  /// `/proc` does not tell.
  static var mappedFileBytes: Int? {
    guard let file = fopen("/proc/self/statm", "re") else { return nil }
    defer { fclose(file) }
    var text = [CChar](repeating: 0, count: 128)
    guard fgets(&text, CInt(text.count), file) != nil else { return nil }
    // size resident shared text ...
    let fields = text.prefix { $0 != 0 }.split(separator: CChar(UInt8(ascii: " ")))
    guard fields.count > 2 else { return nil }
    let digits = String(decoding: fields[2].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return Int(digits).map { $0.multipliedReportingOverflow(by: Int(getpagesize())).partialValue }
  }
}
