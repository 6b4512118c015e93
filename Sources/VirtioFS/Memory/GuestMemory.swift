/// A guest's memory at one time: which stretches of it lie where in this process. Never changes.
///
/// Changing the table makes another value. A request holds on to the one that it was found in, and a region
/// is unmapped when the last of them lets go of it.
final class GuestMemory: Sendable {
  /// Sorted by guest address; none overlaps another, in the guest or in the front end.
  let regions: [MemoryRegion]

  /// As many as the front ends of today ever use. Each costs one mapping.
  static let slotLimit = 509

  static let empty = GuestMemory(sorted: [])

  private init(sorted regions: [MemoryRegion]) {
    self.regions = regions
  }

  /// A table of several regions.
  convenience init(_ regions: [MemoryRegion]) throws(FrontEndFault) {
    let sorted = regions.sorted { $0.description.guestAddress < $1.description.guestAddress }
    try Self.checkOverlap(sorted.map { ($0.description.guestAddress, $0.description.size) })
    try Self.checkOverlap(
      regions.map { ($0.description.userAddress, $0.description.size) }.sorted { $0.0 < $1.0 }
    )
    self.init(sorted: sorted)
  }

  private static func checkOverlap(_ ranges: [(start: UInt64, size: UInt64)]) throws(FrontEndFault)
  {
    for (former, next) in zip(ranges, ranges.dropFirst()) {
      // No overflow: each region's end was checked.
      guard former.start + former.size <= next.start else {
        throw FrontEndFault("memory regions at \(former.start) and \(next.start) overlap")
      }
    }
  }

  /// The table with one more region.
  func adding(_ region: MemoryRegion) throws(FrontEndFault) -> GuestMemory {
    guard regions.count < Self.slotLimit else {
      throw FrontEndFault("more than \(Self.slotLimit) memory regions")
    }
    return try GuestMemory(regions + [region])
  }

  /// The table without a region, which must be in it. Its place in the file does not matter.
  func removing(_ description: RegionDescription) throws(FrontEndFault) -> GuestMemory {
    let rest = regions.filter { region in
      region.description.guestAddress != description.guestAddress
        || region.description.size != description.size
        || region.description.userAddress != description.userAddress
    }
    guard rest.count == regions.count - 1 else {
      throw FrontEndFault("no memory region at guest address \(description.guestAddress)")
    }
    return GuestMemory(sorted: rest)
  }

  /// Whether a part of it was touched that the host could not provide.
  var isBroken: Bool { regions.contains { $0.isBroken } }

  /// Adds the stretches of this process's memory that a range of the guest's consists of: more than one
  /// where it goes over from one region to the next.
  ///
  /// - Returns: False if a part of the range is no memory; some of it may have been added.
  /// - Complexity: Logarithmic in the number of regions.
  func append(_ address: UInt64, count: UInt64, to list: inout SegmentList) -> Bool {
    guard count > 0 else { return true }
    guard !address.addingReportingOverflow(count - 1).overflow else { return false }
    var address = address
    var rest = count
    var index = indexOfRegion(at: address)
    while rest > 0 {
      guard index < regions.count else { return false }
      let region = regions[index]
      guard let available = region.remaining(fromGuest: address),
        let pointer = region.pointer(remaining: available)
      else { return false }
      let part = min(rest, available)
      // Fits: a region is mapped, so its size is below 2^63.
      list.append(pointer, count: Int(part))
      rest -= part
      // No overflow: checked above for the last byte; beyond it `rest` is 0.
      address &+= part
      index += 1
    }
    return true
  }

  /// The only region that may hold the address: the last that begins at or below it.
  private func indexOfRegion(at address: UInt64) -> Int {
    var low = 0
    var high = regions.count
    while low < high {
      let middle = (low + high) / 2
      if regions[middle].description.guestAddress <= address {
        low = middle + 1
      } else {
        high = middle
      }
    }
    return max(0, low - 1)
  }

  /// Translates an address of the front end's process where `count` bytes lie in one piece.
  func pointer(
    toUser address: UInt64,
    count: Int,
    alignment: UInt
  ) -> UnsafeMutableRawPointer? {
    for region in regions {
      guard let available = region.remaining(fromUser: address) else { continue }
      guard UInt64(count) <= available, let pointer = region.pointer(remaining: available),
        UInt(bitPattern: pointer) % alignment == 0
      else { return nil }
      return pointer
    }
    return nil
  }
}
