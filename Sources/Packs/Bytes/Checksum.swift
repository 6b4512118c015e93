internal import CXXHash

/// XXH3-64: finds damage; against forgery records have their digests.
enum Checksum {
  /// The checksum of bytes that belong to one place only.
  ///
  /// - Parameter seed: Says which place, so that good bytes in the wrong place are found out.
  @inline(__always)
  static func of(_ bytes: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
    XXH3_64bits_withSeed(bytes.baseAddress, bytes.count, seed)
  }

  /// The checksum of bytes of a span.
  static func of(_ bytes: RawSpan, seed: UInt64) -> UInt64 {
    bytes.withUnsafeBytes { of($0, seed: seed) }
  }
}
