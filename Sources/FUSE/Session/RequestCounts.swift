internal import Synchronization

/// How many requests of each sort came in.
public struct RequestCounts: Hashable, Sendable {
  /// Indexed by opcode; unknown ones are counted at 0.
  private var counts: [UInt64]

  static let slots = 64

  init(_ counts: [UInt64]) {
    self.counts = counts
  }

  /// Requests of one sort.
  public subscript(opcode: Opcode) -> UInt64 { counts[Int(opcode.rawValue)] }

  /// Requests that the library does not know.
  public var unknown: UInt64 { counts[0] }

  /// All requests.
  public var total: UInt64 { counts.reduce(0, +) }

  /// What came in since an earlier reading of the same session.
  public static func - (later: RequestCounts, earlier: RequestCounts) -> RequestCounts {
    RequestCounts(zip(later.counts, earlier.counts).map { $0 &- $1 })
  }
}

extension RequestCounts: CustomStringConvertible {
  /// The sorts that came in, with their numbers.
  public var description: String {
    counts.enumerated().filter { $0.element > 0 }.map { index, count in
      let name = Opcode(rawValue: UInt32(index)).map { "\($0)" } ?? "unknown"
      return "\(name) \(count)"
    }.joined(separator: ", ")
  }
}

/// Counters of one worker: written by its thread alone, read by any.
final class CounterBlock: Sendable {
  // A class of its own for each worker, 512 bytes of counters in one allocation: workers share at most
  // the cache lines at its two ends.
  private let slots: [Slot]

  private final class Slot: Sendable {
    let value = Atomic<UInt64>(0)
  }

  init() {
    slots = (0..<RequestCounts.slots).map { _ in Slot() }
  }

  /// Only on the owning thread: a plain load and store, no locked instruction.
  func count(_ opcode: UInt32) {
    let index = opcode < UInt32(RequestCounts.slots) ? Int(opcode) : 0
    let value = slots[index].value.load(ordering: .relaxed)
    slots[index].value.store(value &+ 1, ordering: .relaxed)
  }

  var values: [UInt64] { slots.map { $0.value.load(ordering: .relaxed) } }
}
