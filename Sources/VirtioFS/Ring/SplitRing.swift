internal import CLinux

/// The three parts of a split virtqueue, where they lie in this process. Little endian, as virtio 1 has it.
///
/// Every access is one load or store: the guest changes these bytes at any time.
// Sendable: the pointers lead to memory that is shared with another process anyway; each access is atomic.
struct SplitRing: @unchecked Sendable {
  let size: UInt16
  // All three lie inside of one region of `memory` each, aligned, with room for `size` elements: checked
  // by `init`. Indices below are brought below `size` before use.
  private let descriptors: UnsafeMutableRawPointer
  private let available: UnsafeMutableRawPointer
  private let used: UnsafeMutableRawPointer
  /// Keeps the parts mapped, and is where descriptors point into.
  let memory: GuestMemory

  /// - Parameter size: A power of two.
  init(size: UInt16, at addresses: RingAddresses, in memory: GuestMemory) throws(FrontEndFault) {
    let count = Int(size)
    guard
      let descriptors = memory.pointer(
        toUser: addresses.descriptors,
        count: 16 * count,
        alignment: 16
      ),
      let available = memory.pointer(
        toUser: addresses.available,
        count: 6 + 2 * count,
        alignment: 2
      ),
      let used = memory.pointer(toUser: addresses.used, count: 6 + 8 * count, alignment: 4)
    else {
      throw FrontEndFault(
        "ring \(addresses.index) does not lie in the guest's memory, or not aligned"
      )
    }
    self.size = size
    self.descriptors = descriptors
    self.available = available
    self.used = used
    self.memory = memory
  }

  private func slot(_ index: UInt16) -> Int { Int(index & (size - 1)) }

  // MARK: What the guest writes

  /// Where the guest will put the next request. Everything it wrote before is visible then.
  var availableIndex: UInt16 { UInt16(littleEndian: CLinux_load16_acquire(available + 2)) }

  /// Which descriptor a request begins with, as the guest says.
  func head(at index: UInt16) -> UInt16 {
    UInt16(littleEndian: CLinux_load16(available + 4 + 2 * slot(index)))
  }

  /// True if the guest wants no interrupts (without event index).
  var suppressesInterrupts: Bool { UInt16(littleEndian: CLinux_load16(available)) & 1 != 0 }

  /// With which used element the guest wants an interrupt (with event index).
  var usedEvent: UInt16 { UInt16(littleEndian: CLinux_load16(available + 4 + 2 * Int(size))) }

  /// A descriptor of the ring's own table.
  ///
  /// - Precondition: The index is below the size.
  func descriptor(at index: UInt16) -> Descriptor {
    precondition(index < size, "indices of descriptors are checked")
    return Descriptor(shared: descriptors + 16 * Int(index))
  }

  // MARK: What we write

  /// Where the next used element goes. Ours, and so trusted no more than the guest.
  var usedIndex: UInt16 { UInt16(littleEndian: CLinux_load16(used + 2)) }

  /// Writes a used element without showing it to the guest.
  func storeUsed(at index: UInt16, head: UInt16, written: UInt32) {
    let element = used + 4 + 8 * slot(index)
    CLinux_store32(element, UInt32(head).littleEndian)
    CLinux_store32(element + 4, written.littleEndian)
  }

  /// Shows the guest all elements before an index.
  func publishUsed(_ index: UInt16) {
    CLinux_store16_release(used + 2, index.littleEndian)
  }

  /// Says whether kicks are wanted (without event index).
  func setKicksSuppressed(_ suppressed: Bool) {
    CLinux_store16(used, UInt16(suppressed ? 1 : 0).littleEndian)
  }

  /// Says with which request a kick is wanted (with event index).
  func setAvailableEvent(_ index: UInt16) {
    CLinux_store16(used + 4 + 8 * Int(size), index.littleEndian)
  }
}

/// One descriptor: a copy, which the guest cannot change any more.
struct Descriptor {
  let address: UInt64
  let count: UInt32
  private let flags: UInt16
  let next: UInt16

  /// Copies it out of shared memory, aligned to 16 bytes.
  init(shared: UnsafeRawPointer) {
    self.init(
      UInt64(littleEndian: CLinux_load64(shared)),
      UInt64(littleEndian: CLinux_load64(shared + 8))
    )
  }

  /// Reads it from memory of our own.
  init(own: UnsafeRawPointer) {
    self.init(
      UInt64(littleEndian: own.loadUnaligned(as: UInt64.self)),
      UInt64(littleEndian: own.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    )
  }

  private init(_ first: UInt64, _ second: UInt64) {
    address = first
    count = UInt32(truncatingIfNeeded: second)
    flags = UInt16(truncatingIfNeeded: second >> 32)
    next = UInt16(truncatingIfNeeded: second >> 48)
  }

  var hasNext: Bool { flags & 1 != 0 }
  var isWritable: Bool { flags & 2 != 0 }
  var isIndirect: Bool { flags & 4 != 0 }
}
