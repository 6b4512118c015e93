/// Where to cut bytes into chunks, so that equal parts of different inputs become equal chunks.
///
/// FastCDC as of 2020 with normalization level 1, cut for cut the same as the `fastcdc` crate 3.1 (which
/// Tvix and Snix use): stores that chunk alike share chunks.
package struct FastCDC: Sendable, Hashable {
  /// No chunk is shorter, but an input's last; rounded down to an even number.
  package let minimum: Int
  /// About how long chunks are.
  package let average: Int
  /// No chunk is longer.
  package let maximum: Int

  // Below the average a cut needs more zero bits of the hash, above it fewer: lengths gather around it.
  private let strict: UInt64
  private let loose: UInt64

  /// Half to twice an average: what object stores of the Snix layout have, with 256 KiB.
  ///
  /// - Returns: Nothing if the lengths are out of range.
  package init?(average: Int) {
    self.init(
      minimum: average / 2,
      average: average,
      maximum: average.multipliedReportingOverflow(by: 2).partialValue
    )
  }

  /// - Returns: Nothing if the lengths are out of range (64 bytes to 1 MiB, 256 bytes to 4 MiB, 1 KiB to
  ///   16 MiB), or not in order.
  package init?(minimum: Int, average: Int, maximum: Int) {
    guard 64...1 << 20 ~= minimum, 256...4 << 20 ~= average, 1024...16 << 20 ~= maximum,
      minimum <= average, average <= maximum
    else { return nil }
    self.minimum = minimum
    self.average = average
    self.maximum = maximum
    let bits = Self.roundedLogarithm(average)
    strict = Self.masks[bits + 1]
    loose = Self.masks[bits - 1]
  }

  /// How long the first chunk of some bytes is; 0 of none.
  ///
  /// - Parameter bytes: What is left of the input, or at least the first `maximum` bytes of it.
  /// - Complexity: O(chunk); nothing is allocated.
  package func cut(_ bytes: UnsafeRawBufferPointer) -> Int {
    guard let base = bytes.baseAddress, bytes.count > minimum else { return bytes.count }
    let end = min(bytes.count, maximum)
    let center = min(average, end)
    let gear = GearTable.shared
    var hash: UInt64 = 0
    var index = minimum / 2
    // Two bytes a turn. After the first, the hash is compared one bit further left: as if both steps
    // had shifted by one.
    if let found = Self.find(base, &index, center / 2, &hash, strict, gear) { return found }
    return Self.find(base, &index, end / 2, &hash, loose, gear) ?? end
  }

  @inline(__always)
  private static func find(
    _ base: UnsafeRawPointer,
    _ index: inout Int,
    _ end: Int,
    _ hash: inout UInt64,
    _ mask: UInt64,
    _ gear: GearTable
  ) -> Int? {
    let shiftedMask = mask << 1
    while index < end {
      let place = 2 * index
      let first = Int(base.load(fromByteOffset: place, as: UInt8.self))
      hash = (hash << 2) &+ gear.shifted[first]
      if hash & shiftedMask == 0 { return place }
      let second = Int(base.load(fromByteOffset: place + 1, as: UInt8.self))
      hash = hash &+ gear.plain[second]
      if hash & mask == 0 { return place + 1 }
      index += 1
    }
    return nil
  }

  // To the nearest whole number.
  private static func roundedLogarithm(_ number: Int) -> Int {
    let floor = Int.bitWidth - 1 - number.leadingZeroBitCount
    // number >= 2^(floor + 1/2), without roots: at most 2^44.
    return number * number >= 1 << (2 * floor + 1) ? floor + 1 : floor
  }

  // One bits spread over the upper part, as many as the index.
  private static let masks: [UInt64] = [
    0, 0, 0, 0, 0, 0x1804110, 0x1803110, 0x1803_5100, 0x18_0003_5300, 0x190_0035_3000,
    0x5900_0353_0000, 0xd900_0353_0000, 0xd901_0353_0000, 0xd903_0353_0000, 0xd903_1353_0000,
    0xd90f_0353_0000, 0xd903_0353_7000, 0xd907_0353_7000, 0xd907_0753_7000, 0xd917_0753_7000,
    0xd917_4753_7000, 0xd917_6753_7000, 0xd937_6753_7000, 0xd937_7753_7000, 0xd937_7757_7000,
    0xdb37_7757_7000,
  ]
}
