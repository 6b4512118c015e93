// A temporary stand-in, replaced by the real thing on merging.

/// BLAKE3.
public enum BLAKE3 {
  /// A digest.
  public struct Digest: Sendable, BitwiseCopyable {
    var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    /// Lends the bytes.
    public func withUnsafeBytes<R, F: Error>(
      _ body: (UnsafeRawBufferPointer) throws(F) -> R
    ) throws(F) -> R {
      try Swift.withUnsafeBytes(of: self) { (b) throws(F) in try body(b) }
    }
  }

  /// An incremental hasher.
  public struct Hasher: ~Copyable {
    var bytes: [UInt8] = []
    /// Starts.
    public init() {}
    /// Appends.
    public mutating func update(_ more: UnsafeRawBufferPointer) { bytes.append(contentsOf: more) }
    /// Appends.
    public mutating func update(_ more: [UInt8]) { bytes.append(contentsOf: more) }
    /// Ends.
    public func finalize() -> Digest { bytes.withUnsafeBytes { BLAKE3.hash($0) } }
  }

  static let iv: [UInt32] = [
    0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A,
    0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19,
  ]
  static let permutation = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]

  static func compress(
    _ cv: [UInt32], _ block: [UInt32], _ counter: UInt64, _ length: UInt32, _ flags: UInt32
  ) -> [UInt32] {
    var v = cv + iv[0..<4] + [UInt32(truncatingIfNeeded: counter), UInt32(counter >> 32), length, flags]
    var m = block
    func rot(_ x: UInt32, _ n: UInt32) -> UInt32 { x >> n | x << (32 - n) }
    v.withUnsafeMutableBufferPointer { v in
      func g(_ a: Int, _ b: Int, _ c: Int, _ d: Int, _ x: UInt32, _ y: UInt32) {
        v[a] = v[a] &+ v[b] &+ x
        v[d] = rot(v[d] ^ v[a], 16)
        v[c] = v[c] &+ v[d]
        v[b] = rot(v[b] ^ v[c], 12)
        v[a] = v[a] &+ v[b] &+ y
        v[d] = rot(v[d] ^ v[a], 8)
        v[c] = v[c] &+ v[d]
        v[b] = rot(v[b] ^ v[c], 7)
      }
      for round in 0..<7 {
        g(0, 4, 8, 12, m[0], m[1])
        g(1, 5, 9, 13, m[2], m[3])
        g(2, 6, 10, 14, m[4], m[5])
        g(3, 7, 11, 15, m[6], m[7])
        g(0, 5, 10, 15, m[8], m[9])
        g(1, 6, 11, 12, m[10], m[11])
        g(2, 7, 8, 13, m[12], m[13])
        g(3, 4, 9, 14, m[14], m[15])
        if round < 6 { m = permutation.map { m[$0] } }
      }
    }
    return (0..<8).map { v[$0] ^ v[$0 + 8] }
  }

  static func subtree(_ bytes: UnsafeRawBufferPointer, _ counter: UInt64, _ root: Bool) -> [UInt32] {
    if bytes.count <= 1024 {
      var cv = iv
      let blocks = max(1, (bytes.count + 63) / 64)
      for block in 0..<blocks {
        let length = min(64, bytes.count - block * 64)
        var m = [UInt32](repeating: 0, count: 16)
        for i in 0..<length { m[i / 4] |= UInt32(bytes[block * 64 + i]) << (8 * UInt32(i % 4)) }
        let flags: UInt32 =
          (block == 0 ? 1 : 0) | (block == blocks - 1 ? (root ? 10 : 2) : 0)
        cv = compress(cv, m, counter, UInt32(length), flags)
      }
      return cv
    }
    var left = 1024
    while left * 2 < bytes.count { left *= 2 }
    let a = subtree(UnsafeRawBufferPointer(rebasing: bytes[..<left]), counter, false)
    let b = subtree(
      UnsafeRawBufferPointer(rebasing: bytes[left...]), counter + UInt64(left / 1024), false)
    return compress(iv, a + b, 0, 64, root ? 12 : 4)
  }

  /// Hashes.
  public static func hash(_ bytes: UnsafeRawBufferPointer) -> Digest {
    let w = subtree(bytes, 0, true)
    func pair(_ i: Int) -> UInt64 { UInt64(w[i]) | UInt64(w[i + 1]) << 32 }
    return Digest(words: (pair(0), pair(2), pair(4), pair(6)))
  }
}
