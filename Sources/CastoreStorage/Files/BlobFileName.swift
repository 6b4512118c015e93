internal import Castore

/// The path of a blob's file below `blobs/`: two hexadecimal digits, a slash, all 64 digits.
enum BlobFileName {
  /// Lends the path as a C string, without allocating on the heap.
  static func withPath<Result, Failure: Error>(
    of digest: B3Digest,
    _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // 2 digits, slash, 64 digits, NUL.
    let path = InlineArray<68, CChar>(repeating: 0)
    var filled = path
    filled[2] = CChar(bitPattern: UInt8(ascii: "/"))
    digest.withUnsafeBytes { bytes in
      for (index, byte) in bytes.enumerated() {
        filled[3 + 2 * index] = digit(byte >> 4)
        filled[4 + 2 * index] = digit(byte & 15)
      }
    }
    filled[0] = filled[3]
    filled[1] = filled[4]
    return try filled.span.withUnsafeBufferPointer { (buffer) throws(Failure) in
      guard let base = buffer.baseAddress else { preconditionFailure("the array is not empty") }
      return try body(base)
    }
  }

  /// The path as text.
  static func path(of digest: B3Digest) -> String {
    withPath(of: digest) { String(cString: $0) }
  }

  /// The folder that holds a blob's file: its digest's first byte.
  static func folderIndex(of digest: B3Digest) -> Int {
    digest.withUnsafeBytes { Int($0[0]) }
  }

  /// The name of such a folder, two hexadecimal digits.
  static func folderName(_ index: Int) -> String {
    (index < 16 ? "0" : "") + String(index, radix: 16)
  }

  private static func digit(_ value: UInt8) -> CChar {
    CChar(bitPattern: value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10)
  }
}
