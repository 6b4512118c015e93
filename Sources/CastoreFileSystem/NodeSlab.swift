internal import Castore
internal import Glibc

/// Memory for node records: slots that keep their number, in chunks that go back to the system
/// when the last node in them is gone.
///
/// Chunks are mapped, not allocated: untouched pages of a chunk cost nothing, and a freed chunk leaves
/// the process at once, which `free` does not promise.
struct NodeSlab {
  static let slotsPerChunk: UInt32 = 2048
  static let noSlot = UInt32.max
  /// More nodes than memory has room for.
  static let maximumSlots: UInt32 = 1 << 27

  private struct Chunk {
    /// `nil` while no node lives in the chunk.
    var records: UnsafeMutablePointer<NodeRecord>?
    var live: UInt32 = 0
    /// How many slots were ever taken since the chunk was mapped; those above are untouched.
    var touched: UInt32 = 0
    var firstFree = NodeSlab.noSlot
  }

  private var chunks: [Chunk] = []
  /// No chunk below this one has a free slot: low slots are taken first, so that high chunks empty.
  private var firstWithRoom = 0
  private(set) var live = 0

  /// The record in a slot that was taken and not given back.
  subscript(slot: UInt32) -> UnsafeMutablePointer<NodeRecord>? {
    let index = Int(slot / Self.slotsPerChunk)
    guard index < chunks.count, let records = chunks[index].records else { return nil }
    let offset = slot % Self.slotsPerChunk
    guard offset < chunks[index].touched else { return nil }
    return records + Int(offset)
  }

  /// Takes a slot; what its record holds means nothing.
  ///
  /// - Returns: `nil` where the system has no memory or all slot numbers are taken.
  mutating func take() -> (slot: UInt32, record: UnsafeMutablePointer<NodeRecord>)? {
    while firstWithRoom < chunks.count && isFull(chunks[firstWithRoom]) { firstWithRoom += 1 }
    let index = firstWithRoom
    if index == chunks.count {
      guard UInt32(index + 1) * Self.slotsPerChunk <= Self.maximumSlots else { return nil }
      chunks.append(Chunk())
    }
    let base = UInt32(index) * Self.slotsPerChunk
    guard let records = chunks[index].records ?? map(index) else { return nil }
    chunks[index].live += 1
    live += 1
    if chunks[index].firstFree != Self.noSlot {
      let slot = chunks[index].firstFree
      let record = records + Int(slot - base)
      chunks[index].firstFree = record.pointee.nextByKey
      return (slot, record)
    }
    let offset = chunks[index].touched
    chunks[index].touched += 1
    return (base + offset, records + Int(offset))
  }

  /// Gives a taken slot back.
  mutating func giveBack(_ slot: UInt32) {
    let index = Int(slot / Self.slotsPerChunk)
    guard let record = self[slot] else { return }
    record.pointee.kind = .free
    record.pointee.nextByKey = chunks[index].firstFree
    chunks[index].firstFree = slot
    chunks[index].live -= 1
    live -= 1
    firstWithRoom = min(firstWithRoom, index)
    if chunks[index].live == 0 { unmap(index) }
  }

  private func isFull(_ chunk: Chunk) -> Bool {
    chunk.firstFree == Self.noSlot && chunk.touched == Self.slotsPerChunk
  }

  private static var chunkBytes: Int { Int(slotsPerChunk) * MemoryLayout<NodeRecord>.stride }

  private mutating func map(_ index: Int) -> UnsafeMutablePointer<NodeRecord>? {
    let memory = mmap(
      nil,
      Self.chunkBytes,
      PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS,
      -1,
      0
    )
    guard let memory, memory != MAP_FAILED else { return nil }
    let records = memory.bindMemory(to: NodeRecord.self, capacity: Int(Self.slotsPerChunk))
    chunks[index].records = records
    chunks[index].touched = 0
    chunks[index].firstFree = Self.noSlot
    return records
  }

  private mutating func unmap(_ index: Int) {
    guard let records = chunks[index].records else { return }
    munmap(records, Self.chunkBytes)
    chunks[index].records = nil
    chunks[index].touched = 0
    chunks[index].firstFree = Self.noSlot
    firstWithRoom = min(firstWithRoom, index)
  }

  /// Frees everything, without looking at what the records own.
  mutating func removeAll() {
    for index in chunks.indices { unmap(index) }
    live = 0
  }

  /// Calls `body` with every record in use.
  func forEach(_ body: (UInt32, UnsafeMutablePointer<NodeRecord>) -> Void) {
    for (index, chunk) in chunks.enumerated() {
      guard let records = chunk.records else { continue }
      for offset in 0..<chunk.touched where records[Int(offset)].kind != .free {
        body(UInt32(index) * Self.slotsPerChunk + offset, records + Int(offset))
      }
    }
  }
}
