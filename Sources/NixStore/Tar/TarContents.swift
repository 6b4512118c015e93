/// How far the contents of one file of an archive were read: blocks of bytes with holes between them.
final class TarContents {
  private var size: UInt64 = 0
  /// How many bytes were handed out.
  private var place: UInt64 = 0
  /// What comes next, after a hole; libarchive's memory, valid until it is asked for another.
  private var block = UnsafeRawBufferPointer(start: nil, count: 0)
  private var blockStart: UInt64 = 0
  /// How many bytes the archive still has to have.
  private var missing: UInt64 = 0
  private var hasEnded = false

  /// Begins with a file.
  ///
  /// - Parameter stored: How many of its bytes are in no hole.
  func begin(size: UInt64, stored: UInt64) {
    self.size = size
    missing = stored
    place = 0
    block = UnsafeRawBufferPointer(start: nil, count: 0)
    blockStart = 0
    hasEnded = false
  }

  /// Notes a block that was read; false where it cannot be one of this file.
  func add(_ block: UnsafeRawBufferPointer, at offset: Int64) -> Bool {
    guard let start = UInt64(exactly: offset), start >= place, start <= size,
      UInt64(block.count) <= size - start, UInt64(block.count) <= missing
    else { return false }
    missing -= UInt64(block.count)
    self.block = block
    blockStart = start
    return true
  }

  /// Notes that there are no more: what is left is a hole. False where bytes were promised.
  func end() -> Bool {
    block = UnsafeRawBufferPointer(start: nil, count: 0)
    blockStart = size
    hasEnded = true
    return missing == 0
  }

  /// Hands out what is known.
  ///
  /// - Returns: How many bytes, 0 at the end of the file; `nil` where the next block is needed.
  func take(into buffer: UnsafeMutableRawBufferPointer) -> Int? {
    if place < blockStart {
      let count = Int(min(UInt64(buffer.count), blockStart - place))
      UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]).initializeMemory(
        as: UInt8.self,
        repeating: 0
      )
      place += UInt64(count)
      return count
    }
    if !block.isEmpty {
      let count = min(buffer.count, block.count)
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: block[..<count]))
      block = UnsafeRawBufferPointer(rebasing: block[count...])
      blockStart += UInt64(count)
      place += UInt64(count)
      return count
    }
    return hasEnded ? 0 : nil
  }
}
