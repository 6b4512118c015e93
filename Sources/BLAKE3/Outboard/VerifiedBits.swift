internal import Glibc
internal import Synchronization

/// Facts about many things, one bit each, that only ever become true. Any thread may read and set.
struct VerifiedBits: ~Copyable, @unchecked Sendable {
  // Sendable: the words are atomics, and the memory lives as long as this one owner.
  private let words: UnsafeMutablePointer<Atomic<UInt64>>

  /// - Returns: Nothing if there is no such memory.
  init?(count: UInt64) {
    guard let wordCount = Int(exactly: count / 64 + 1) else { return nil }
    // Pages of zeros that nobody touches take no memory. An atomic is its value, and so zero is one.
    guard let memory = calloc(wordCount, MemoryLayout<Atomic<UInt64>>.stride) else { return nil }
    words = memory.bindMemory(to: Atomic<UInt64>.self, capacity: wordCount)
  }

  deinit {
    free(words)
  }

  // Relaxed is enough: a bit says that the bytes in a file are right, and publishes no memory.

  func contains(_ index: Int) -> Bool {
    words[index >> 6].load(ordering: .relaxed) & (1 << UInt64(index & 63)) != 0
  }

  func insert(_ index: Int) {
    words[index >> 6].bitwiseOr(1 << UInt64(index & 63), ordering: .relaxed)
  }

  /// Whether all of a range are true.
  func containsAll(_ range: Range<Int>) -> Bool {
    var index = range.lowerBound
    while index < range.upperBound {
      let end = min((index | 63) + 1, range.upperBound)
      let mask = (UInt64.max >> UInt64(64 - (end - index))) << UInt64(index & 63)
      if words[index >> 6].load(ordering: .relaxed) & mask != mask { return false }
      index = end
    }
    return true
  }
}
