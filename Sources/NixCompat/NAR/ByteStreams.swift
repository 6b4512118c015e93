/// Where bytes come from: a file, a socket, a decompressor.
public protocol ByteSource: ~Copyable {
  /// Reads some bytes, blocking until there are any.
  ///
  /// - Returns: How many bytes of `buffer`, which is never empty, were filled; 0 only at the end.
  mutating func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int
}

/// Where bytes go.
public protocol ByteSink: ~Copyable {
  /// Writes all bytes, blocking until they are taken.
  mutating func write(_ bytes: UnsafeRawBufferPointer) throws
}

/// A source that reads from an array.
public struct ByteArraySource: ByteSource, Sendable {
  private let bytes: [UInt8]
  private var position = 0
  private let maximumReadLength: Int

  /// Starts at the first byte.
  ///
  /// - Parameter maximumReadLength: The most that one read gives, at least 1.
  public init(_ bytes: [UInt8], maximumReadLength: Int = .max) {
    precondition(maximumReadLength > 0, "a read that gives nothing means the end")
    self.bytes = bytes
    self.maximumReadLength = maximumReadLength
  }

  /// Copies the next bytes.
  public mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let count = min(buffer.count, maximumReadLength, bytes.count - position)
    buffer.copyBytes(from: bytes[position..<(position + count)])
    position += count
    return count
  }
}

/// A source that asks a closure.
public struct ClosureByteSource: ByteSource {
  private let body: (UnsafeMutableRawBufferPointer) throws -> Int

  /// Takes a closure that does what `read(into:)` must.
  public init(_ body: @escaping (UnsafeMutableRawBufferPointer) throws -> Int) {
    self.body = body
  }

  /// Calls the closure.
  public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    try body(buffer)
  }
}

/// A sink that keeps everything in an array.
public struct ByteArraySink: ByteSink, Sendable {
  /// What was written.
  public private(set) var bytes: [UInt8] = []

  /// Starts empty.
  public init() {}

  /// Appends bytes.
  public mutating func write(_ bytes: UnsafeRawBufferPointer) {
    self.bytes.append(contentsOf: bytes)
  }
}

/// A sink that keeps nothing but the SHA-256 and the count of what is written to it.
public struct SHA256Sink: ByteSink, Sendable {
  /// The hasher that was fed all bytes.
  public private(set) var hasher = SHA256Hasher()

  /// Starts empty.
  public init() {}

  /// Hashes bytes.
  public mutating func write(_ bytes: UnsafeRawBufferPointer) {
    hasher.update(bytes)
  }
}
