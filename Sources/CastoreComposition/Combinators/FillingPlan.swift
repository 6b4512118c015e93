/// Which part of a blob is fetched next. A value: what is to be done is returned, and done by others.
struct FillingPlan: Sendable {
  private enum Part: UInt8 {
    case missing, coming, here
  }

  // Where each part begins; its number is its place.
  private let starts: [UInt64]
  private let size: UInt64
  // Whether parts come in order only.
  private let isOrdered: Bool
  private var parts: [Part]
  private var wanted: [Int] = []
  // All before the first is here or coming.
  private var first = 0
  // Where the filling goes on: behind what was read last.
  private var cursor = 0
  private(set) var comingCount = 0
  /// How many parts from the start on are here.
  private(set) var prefix = 0

  /// Plans to fetch all parts.
  ///
  /// - Parameter starts: Where they begin, from 0 on.
  init(starts: [UInt64], size: UInt64, isOrdered: Bool) {
    self.starts = starts
    self.size = size
    self.isOrdered = isOrdered
    parts = Array(repeating: .missing, count: starts.count)
  }

  /// How many parts there are.
  var count: Int { starts.count }

  /// Where a part lies.
  func range(of part: Int) -> Range<UInt64> {
    starts[part]..<(part + 1 < starts.count ? starts[part + 1] : size)
  }

  /// The part at an offset inside of the blob.
  func part(at offset: UInt64) -> Int {
    var (low, high) = (0, starts.count)
    while high - low > 1 {
      let middle = low + (high - low) / 2
      if starts[middle] <= offset { low = middle } else { high = middle }
    }
    return low
  }

  /// Whether a part is here.
  func isHere(_ part: Int) -> Bool { parts[part] == .here }

  /// Whether a part is neither here nor coming.
  var isPartMissing: Bool { parts.contains(.missing) }

  /// Somebody waits for a part: it comes before all that nobody waits for.
  mutating func want(_ part: Int) {
    if parts[part] == .missing { wanted.append(part) }
    if !isOrdered { cursor = part + 1 }
  }

  /// Takes the next part to fetch.
  ///
  /// - Parameter fills: Whether parts are fetched that nobody waits for.
  mutating func next(fills: Bool) -> Int? {
    while first < parts.count, parts[first] != .missing { first += 1 }
    guard first < parts.count else { return nil }
    guard let part = isOrdered ? nextInOrder(fills) : nextAnywhere(fills) else { return nil }
    parts[part] = .coming
    comingCount += 1
    return part
  }

  private mutating func nextInOrder(_ fills: Bool) -> Int? {
    wanted.removeAll { parts[$0] != .missing }
    return comingCount == 0 && (fills || !wanted.isEmpty) ? first : nil
  }

  private mutating func nextAnywhere(_ fills: Bool) -> Int? {
    while !wanted.isEmpty {
      let part = wanted.removeFirst()
      if parts[part] == .missing { return part }
    }
    guard fills else { return nil }
    while cursor < parts.count, parts[cursor] != .missing { cursor += 1 }
    return cursor < parts.count ? cursor : first
  }

  /// Notes that a part that was coming is here, or will not come.
  mutating func arrived(_ part: Int, isHere: Bool) {
    comingCount -= 1
    parts[part] = isHere ? .here : .missing
    if !isHere { first = min(first, part) }
    while prefix < parts.count, parts[prefix] == .here { prefix += 1 }
  }
}
