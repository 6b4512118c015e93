internal import Castore

/// How far behind a directory's own number its entries' numbers are (see `NodePlace`).
struct DirectoryNumbering: Sendable {
  private struct Step {
    /// Which entry: a directory with something in it.
    var position: Int
    /// How many places are below this and all such directories before it.
    var below: UInt64
  }

  // None for a directory without directories: entry and number go together.
  private let steps: [Step]
  private let count: Int

  init(_ index: DirectoryIndex) {
    count = index.count
    var steps: [Step] = []
    // No overflow: the sum of all was checked when the directory was read.
    if index.specifiedSize > UInt64(index.count) {
      var below: UInt64 = 0
      for position in 0..<index.count {
        let entry = index.entry(at: position)
        guard entry.kind == .directory, entry.size > 0 else { continue }
        below += entry.size
        steps.append(Step(position: position, below: below))
      }
    }
    self.steps = steps
  }

  /// What it takes in memory, in bytes, about.
  var byteCount: Int { steps.count * MemoryLayout<Step>.stride }

  /// The offset of an entry.
  ///
  /// - Complexity: O(log n).
  func offset(of position: Int) -> UInt64 {
    var (low, high) = (0, steps.count)
    while low < high {
      let middle = low + (high - low) / 2
      if steps[middle].position < position { low = middle + 1 } else { high = middle }
    }
    return UInt64(position) + 1 + (low > 0 ? steps[low - 1].below : 0)
  }

  /// The last entry whose offset is not above `offset`: the one that it belongs to, or that it is below of.
  ///
  /// - Complexity: O(log² n).
  func position(at offset: UInt64) -> Int? {
    var (low, high) = (0, count)
    while low < high {
      let middle = low + (high - low) / 2
      if self.offset(of: middle) <= offset { low = middle + 1 } else { high = middle }
    }
    return low > 0 ? low - 1 : nil
  }
}
