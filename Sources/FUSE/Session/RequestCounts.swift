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
// Sendable: the memory is allocated once, lives as long as the object, and holds atomics only.
final class CounterBlock: @unchecked Sendable {
  private let slots: UnsafeMutablePointer<Atomic<UInt64>>

  init() {
    // Cache lines of its own, so that workers do not slow each other down.
    let line = 64
    let size = RequestCounts.slots * MemoryLayout<Atomic<UInt64>>.stride
    let memory = UnsafeMutableRawPointer.allocate(byteCount: size + line, alignment: line)
    slots = memory.bindMemory(to: Atomic<UInt64>.self, capacity: RequestCounts.slots)
    for index in 0..<RequestCounts.slots { (slots + index).initialize(to: Atomic(0)) }
  }

  deinit {
    slots.deinitialize(count: RequestCounts.slots)
    UnsafeMutableRawPointer(slots).deallocate()
  }

  /// Only on the owning thread: a plain load and store, no locked instruction.
  func count(_ opcode: UInt32) {
    let index = opcode < UInt32(RequestCounts.slots) ? Int(opcode) : 0
    let value = slots[index].load(ordering: .relaxed)
    slots[index].store(value &+ 1, ordering: .relaxed)
  }

  var values: [UInt64] {
    (0..<RequestCounts.slots).map { slots[$0].load(ordering: .relaxed) }
  }
}
