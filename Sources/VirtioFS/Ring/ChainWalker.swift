internal import CLinux
internal import Glibc

/// Follows the descriptors of a request and collects the memory that they name.
///
/// Each descriptor is copied once, and the copy is what is checked and used.
struct ChainWalker: ~Copyable {
  /// What the request consists of.
  private(set) var readable = SegmentList()
  /// Copy of an indirect table.
  private var table: [UInt8] = []
  private var total: UInt64 = 0
  private var hasWritable = false
  /// How many more descriptors a chain may have: a loop in it ends here.
  private var remaining = 0

  private static let byteLimit: UInt64 = 1 << 32
  private static let indirectByteLimit: UInt32 = 65535 * 16

  init() {}

  /// Walks the chain that begins at `head`, which is below the ring's size.
  ///
  /// - Parameters:
  ///   - writable: Gets the memory for the reply; empty before.
  mutating func walk(
    from head: UInt16,
    in ring: SplitRing,
    allowsIndirect: Bool,
    writable: inout SegmentList
  ) throws(RingFault) {
    readable.removeAll()
    total = 0
    hasWritable = false
    remaining = Int(ring.size)
    var index = head
    while true {
      let descriptor = ring.descriptor(at: index)
      if descriptor.isIndirect {
        guard allowsIndirect else { throw .indirectNotNegotiated }
        guard !descriptor.hasNext else { throw .indirectMisused }
        return try walkTable(descriptor, ring.memory, &writable)
      }
      try add(descriptor, ring.memory, &writable)
      guard descriptor.hasNext else { return }
      guard descriptor.next < ring.size else { throw .nextOutOfRange(descriptor.next) }
      index = descriptor.next
    }
  }

  private mutating func walkTable(
    _ indirect: Descriptor,
    _ memory: GuestMemory,
    _ writable: inout SegmentList
  ) throws(RingFault) {
    guard indirect.count > 0, indirect.count % 16 == 0, indirect.count <= Self.indirectByteLimit
    else { throw .indirectLength(indirect.count) }
    var segments = SegmentList()
    guard memory.append(indirect.address, count: UInt64(indirect.count), to: &segments) else {
      throw .outsideMemory(indirect.address, indirect.count)
    }
    // At most 1 MiB.
    let byteCount = Int(indirect.count)
    if table.count < byteCount { table = [UInt8](repeating: 0, count: byteCount) }
    let copied = table.withUnsafeMutableBytes { segments.gather(into: $0) }
    precondition(copied >= byteCount, "the table was found to lie in memory")
    let count = indirect.count / 16
    // A table may be longer than the ring: Linux 5.4 to 5.12 makes such.
    remaining = Int(count)
    var index: UInt32 = 0
    while true {
      // In bounds: below `count`, and so many were copied.
      let descriptor = table.withUnsafeBytes { bytes in
        bytes.baseAddress.map { Descriptor(own: $0 + 16 * Int(index)) }
      }
      guard let descriptor else { throw .indirectLength(0) }
      guard !descriptor.isIndirect else { throw .indirectMisused }
      try add(descriptor, memory, &writable)
      guard descriptor.hasNext else { return }
      index = UInt32(descriptor.next)
      guard index < count else { throw .nextOutOfRange(descriptor.next) }
    }
  }

  private mutating func add(
    _ descriptor: Descriptor,
    _ memory: GuestMemory,
    _ writable: inout SegmentList
  ) throws(RingFault) {
    guard remaining > 0 else { throw .chainTooLong }
    remaining -= 1
    // No overflow: 2^16 descriptors of 2^32 bytes.
    total += UInt64(descriptor.count)
    guard total <= Self.byteLimit else { throw .chainTooLarge }
    let isInMemory: Bool
    if descriptor.isWritable {
      hasWritable = true
      isInMemory = memory.append(
        descriptor.address,
        count: UInt64(descriptor.count),
        to: &writable
      )
    } else {
      guard !hasWritable else { throw .readableAfterWritable }
      isInMemory = memory.append(
        descriptor.address,
        count: UInt64(descriptor.count),
        to: &readable
      )
    }
    guard isInMemory else { throw .outsideMemory(descriptor.address, descriptor.count) }
  }
}
