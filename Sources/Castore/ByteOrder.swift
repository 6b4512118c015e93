internal import Glibc

/// Where one byte string stands in relation to another: unsigned bytes, the shorter first.
enum ByteOrder {
  case ascending
  case same
  case descending

  init(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) {
    let shared = Swift.min(left.count, right.count)
    var difference: CInt = 0
    if shared > 0, let first = left.baseAddress, let second = right.baseAddress {
      difference = memcmp(first, second, shared)
    }
    if difference == 0 {
      self = left.count < right.count ? .ascending : left.count == right.count ? .same : .descending
    } else {
      self = difference < 0 ? .ascending : .descending
    }
  }
}

extension RawSpan {
  // Compares as `memcmp` does, the shorter first.
  @inline(__always)
  func order(to other: RawSpan) -> ByteOrder {
    withUnsafeBytes { left in other.withUnsafeBytes { ByteOrder(left, $0) } }
  }

  @inline(__always)
  var array: [UInt8] { withUnsafeBytes { [UInt8]($0) } }
}

extension Array where Element == UInt8 {
  // Compares as `memcmp` does, the shorter first.
  func precedes(_ other: [UInt8]) -> Bool {
    withUnsafeBytes { left in other.withUnsafeBytes { ByteOrder(left, $0) == .ascending } }
  }
}
