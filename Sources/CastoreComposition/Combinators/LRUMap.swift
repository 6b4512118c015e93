/// A dictionary of bounded size, from which what was longest unused goes first.
struct LRUMap<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  private struct Entry {
    var value: Value
    var used: UInt64
  }

  private let capacity: Int
  private var entries: [Key: Entry] = [:]
  // Uses in order, some of them overtaken by a later use of the same key.
  private var uses: [(key: Key, used: UInt64)] = []
  private var firstUse = 0
  private var clock: UInt64 = 0

  /// Makes an empty one.
  init(capacity: Int) {
    precondition(capacity > 0, "there is room for one value at least")
    self.capacity = capacity
  }

  /// All values, in no order; none is thereby used.
  var values: [Value] { entries.values.map(\.value) }

  /// The value of a key, which is thereby used.
  ///
  /// - Complexity: O(1), amortised.
  subscript(key: Key) -> Value? {
    mutating get {
      guard let entry = entries[key] else { return nil }
      use(key, entry.value)
      return entry.value
    }
    set {
      guard let newValue else {
        entries[key] = nil
        return
      }
      use(key, newValue)
      while entries.count > capacity { evict() }
    }
  }

  private mutating func use(_ key: Key, _ value: Value) {
    clock += 1
    entries[key] = Entry(value: value, used: clock)
    uses.append((key, clock))
    // Drops what was passed, and then what was overtaken, so that the list stays in proportion.
    if uses.count > 4 * capacity + 16 {
      uses = uses[firstUse...].filter { entries[$0.key]?.used == $0.used }
      firstUse = 0
    }
  }

  private mutating func evict() {
    while firstUse < uses.count {
      let (key, used) = uses[firstUse]
      firstUse += 1
      if entries[key]?.used == used {
        entries[key] = nil
        return
      }
    }
  }
}
