// Integers of the formats. Offsets are checked against the span or buffer by a precondition, so every caller
// compares lengths first.

extension RawSpan {
  @inline(__always)
  func integer<Value: FixedWidthInteger & BitwiseCopyable>(
    at offset: Int,
    as type: Value.Type
  ) -> Value {
    Value(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: type))
  }

  /// The key that begins at an offset.
  @inline(__always)
  func key(at offset: Int) -> PackKey {
    // Safe: every bit pattern is a key, and the load is checked against the span's length.
    PackKey(
      words: unsafeLoadUnaligned(
        fromByteOffset: offset,
        as: (UInt64, UInt64, UInt64, UInt64).self
      )
    )
  }

  /// Whether all bytes of a range are zero.
  func isZero(_ range: Range<Int>) -> Bool {
    for index in range where unsafeLoad(fromByteOffset: index, as: UInt8.self) != 0 {
      return false
    }
    return true
  }
}

extension UnsafeMutableRawBufferPointer {
  @inline(__always)
  func put<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
    precondition(
      offset >= 0 && offset + MemoryLayout<Value>.size <= count,
      "fields lie in the buffer"
    )
    storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
  }

  @inline(__always)
  func put(_ key: PackKey, at offset: Int) {
    precondition(offset >= 0 && offset + PackKey.byteCount <= count, "fields lie in the buffer")
    storeBytes(of: key.words, toByteOffset: offset, as: (UInt64, UInt64, UInt64, UInt64).self)
  }

  /// Fills a range with zeros.
  func clear(_ range: Range<Int>) {
    guard !range.isEmpty else { return }
    UnsafeMutableRawBufferPointer(rebasing: self[range]).initializeMemory(
      as: UInt8.self,
      repeating: 0
    )
  }
}

extension Int {
  /// The least multiple of a power of two that is not less.
  @inline(__always)
  func rounded(up multiple: Int) -> Int { (self + multiple - 1) & ~(multiple - 1) }

  /// The greatest multiple of a power of two that is not more.
  @inline(__always)
  func rounded(down multiple: Int) -> Int { self & ~(multiple - 1) }
}
