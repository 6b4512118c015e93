internal import CBLAKE3
internal import Glibc

/// The chaining values of an input's groups, in order, until the parents above them are made.
///
/// The parents take the place of the values: memory never exceeds the outboard by more than 4 KiB.
struct GroupValues: ~Copyable {
  typealias Digest = BLAKE3.Digest

  // Below these many groups, in a power of two, parents are hashed side by side.
  private static let pageCount = 64

  private var memory: UnsafeMutableRawPointer
  private var capacity: Int
  private(set) var count = 0

  /// - Returns: Nothing if there is no such memory.
  init?(capacity: Int) {
    let capacity = max(capacity, 8)
    let (bytes, overflow) = capacity.multipliedReportingOverflow(by: Digest.byteCount)
    guard !overflow, let memory = malloc(bytes) else { return nil }
    self.memory = memory
    self.capacity = capacity
  }

  deinit {
    free(memory)
  }

  /// Appends values, which `fill` writes.
  mutating func append(_ added: Int, _ fill: (UnsafeMutableRawPointer) -> Void) {
    if count + added > capacity { grow(to: max(count + added, 2 * capacity)) }
    fill(memory + count * Digest.byteCount)
    count += added
  }

  /// Lends room for all values, which may be written in any order, from several threads.
  ///
  /// - Parameter body: Writes the values and returns how many there are, from the first on.
  mutating func withRoom<Failure: Error>(
    _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
  ) throws(Failure) {
    count = try body(
      UnsafeMutableRawBufferPointer(start: memory, count: capacity * Digest.byteCount)
    )
  }

  // Grows only with values that were computed, never with what somebody announces. Nothing could be
  // hashed without the memory, so a lack of it ends the process as everywhere in Swift.
  private mutating func grow(to capacity: Int) {
    guard let grown = realloc(memory, capacity * Digest.byteCount) else {
      preconditionFailure("out of memory for the hashes of \(capacity) groups")
    }
    memory = grown
    self.capacity = capacity
  }

  /// Makes the parents of at least two groups.
  consuming func outboard(size: UInt64, mode: BLAKE3.Mode) -> BLAKE3.Outboard {
    precondition(count >= 2, "a parent has two children")
    // The values move to the end, and the parents are written from the front. A parent is written
    // after its children were read and stands at place `i + d`, where `i` is the group that its
    // subtree begins with and `d < 64` how often the way to it goes left. So it ends at or before
    // byte 64 (i + 64), and a page of `c` groups at or before 64 (i + c + 63). The values after
    // these begin at 64 n + 4096 - 32 (n - i - c) = 32 n + 32 i + 32 c + 4096, which is not less,
    // because i + c <= n.
    let length = Digest.byteCount
    capacity = count * 2 + 64 * 64 / length
    grow(to: capacity)
    let values = memory + (capacity - count) * length
    memmove(values, memory, count * length)
    let parents = ParentWriter(parents: memory, values: values, mode: mode)
    let digest = parents.write(at: 0, first: 0, count: count, isRoot: true)

    let byteCount = (count - 1) * BLAKE3.Outboard.parentLength
    let outboard = realloc(memory, byteCount) ?? memory
    discard self
    return BLAKE3.Outboard(digest: digest, size: size, adopting: outboard, byteCount: byteCount)
  }

  private struct ParentWriter {
    let parents: UnsafeMutableRawPointer
    let values: UnsafeMutableRawPointer
    let mode: BLAKE3.Mode

    // Writes the parents of groups, in pre-order from place `node` on. Halves: at most 47 deep.
    func write(at node: Int, first: Int, count: Int, isRoot: Bool) -> Digest {
      if count == 1 { return value(first) }
      if !isRoot && count <= pageCount && count.nonzeroBitCount == 1 {
        return writePage(at: node, first: first, count: count)
      }
      let leftCount = BLAKE3.Outboard.leftCount(of: count)
      let left = write(at: node + 1, first: first, count: leftCount, isRoot: false)
      let right = write(
        at: node + leftCount,
        first: first + leftCount,
        count: count - leftCount,
        isRoot: false
      )
      let parent = parents + node * BLAKE3.Outboard.parentLength
      parent.storeBytes(of: left, as: Digest.self)
      parent.storeBytes(of: right, toByteOffset: Digest.byteCount, as: Digest.self)
      return BLAKE3.parentCV(left, right, isRoot: isRoot, mode: mode)
    }

    private func value(_ index: Int) -> Digest {
      values.loadUnaligned(fromByteOffset: index * Digest.byteCount, as: Digest.self)
    }

    // A power of two groups, up to 64: level by level, so that many are hashed at once.
    private func writePage(at node: Int, first: Int, count: Int) -> Digest {
      var key = mode.key
      let depth = count.trailingZeroBitCount
      var scratch = InlineArray<64, Digest>(repeating: .zero)
      withUnsafeMutableBytes(of: &scratch) { scratch in
        guard let level = scratch.baseAddress else { return }
        level.copyMemory(
          from: values + first * Digest.byteCount,
          byteCount: count * Digest.byteCount
        )
        for height in 1...depth {
          let width = count >> height
          for index in 0..<width {
            // On the way down, a step to the left passes the parent, one to the right all of the
            // left subtree too: as many nodes as the subtree has groups.
            let start = index << height
            let place = node + start + (depth - height - start.nonzeroBitCount)
            (parents + place * BLAKE3.Outboard.parentLength).copyMemory(
              from: level + index * BLAKE3.Outboard.parentLength,
              byteCount: BLAKE3.Outboard.parentLength
            )
          }
          cblake3_reduce(&key, mode.flags, level, 2 * width, width)
        }
      }
      return scratch[0]
    }
  }
}
