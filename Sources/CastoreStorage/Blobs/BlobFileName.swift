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

  /// The digest whose file has a name; `nil` where it is none, or stands in the wrong folder.
  static func digest(ofName name: [UInt8], inFolder index: Int) -> B3Digest? {
    guard name.count == 2 * B3Digest.byteCount else { return nil }
    var bytes: [UInt8] = []
    for place in stride(from: 0, to: name.count, by: 2) {
      guard let high = value(name[place]), let low = value(name[place + 1]) else { return nil }
      bytes.append(high << 4 | low)
    }
    guard let digest = try? B3Digest(bytes: bytes), folderIndex(of: digest) == index else {
      return nil
    }
    return digest
  }

  private static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    default: nil
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
