/// Writes a NAR to a byte sink, event by event.
///
/// Small pieces are gathered before they are written; large contents go straight to the sink.
/// After an error of the sink the writer must not be used any more.
public struct NARWriter<Sink: ByteSink & ~Copyable>: ~Copyable {
  private static var bufferSize: Int { 65_536 }

  private var sink: Sink
  private var encoder: NAREncoder
  private var buffer: [UInt8] = []

  /// Starts before the first byte of a NAR.
  public init(_ sink: consuming Sink, maximumDepth: Int = NARLimits.defaultMaximumDepth) {
    self.sink = sink
    encoder = NAREncoder(maximumDepth: maximumDepth)
    buffer.reserveCapacity(Self.bufferSize + 1024)
  }

  /// How many bytes the NAR has so far. Right after a `file` event this is where the contents begin.
  public var offset: UInt64 { encoder.offset }

  /// How many bytes of contents the current file still lacks.
  public var contentsRemaining: UInt64 { encoder.contentsRemaining }

  /// Writes an event.
  ///
  /// - Throws: An error if the tree does not allow it here, or the file before lacks contents.
  public mutating func write(_ event: NAREvent) throws(NARError) {
    try encoder.encode(event, into: &buffer)
    try flush(whenOver: Self.bufferSize)
  }

  /// Writes contents of the current file.
  public mutating func writeContents(_ bytes: UnsafeRawBufferPointer) throws(NARError) {
    guard UInt64(bytes.count) <= encoder.contentsRemaining else {
      throw NARError(.contentsTooLong, offset: encoder.offset)
    }
    if bytes.count >= Self.bufferSize / 2 {
      try flush(whenOver: 0)
      try send(bytes)
    } else {
      buffer.append(contentsOf: bytes)
    }
    try encoder.passContents(bytes.count, into: &buffer)
    try flush(whenOver: Self.bufferSize)
  }

  /// Writes contents of the current file.
  public mutating func writeContents(_ bytes: [UInt8]) throws(NARError) {
    try bytes.span.bytes.withUnsafeBytes { bytes throws(NARError) in try writeContents(bytes) }
  }

  /// Writes a file with all its contents.
  ///
  /// - Throws: `contentsTooShort` or `contentsTooLong` if `source` does not hold exactly `size` bytes.
  public mutating func writeFile(
    size: UInt64,
    isExecutable: Bool,
    from source: inout some ByteSource & ~Copyable
  ) throws(NARError) {
    try write(.file(size: size, isExecutable: isExecutable))
    let piece = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Int(min(size, 262_144)) + 1,
      alignment: 16
    )
    defer { piece.deallocate() }
    while true {
      let count: Int
      do {
        count = try source.read(into: piece)
      } catch {
        throw NARError(.sourceFailed, offset: encoder.offset, cause: error)
      }
      precondition(0...piece.count ~= count, "a source fills no more than the buffer")
      guard count > 0 else { break }
      try writeContents(UnsafeRawBufferPointer(rebasing: piece[..<count]))
    }
    guard contentsRemaining == 0 else {
      throw NARError(.contentsTooShort(missing: contentsRemaining), offset: encoder.offset)
    }
  }

  /// Makes sure that the NAR is complete, writes what is still held back and gives the sink back.
  public consuming func finish() throws(NARError) -> Sink {
    try encoder.finish()
    try flush(whenOver: 0)
    return sink
  }

  private mutating func flush(whenOver limit: Int) throws(NARError) {
    guard buffer.count > limit else { return }
    // Taken out, so that it is not borrowed while `send` changes the writer; swapped, so that it is
    // never shared and keeps its memory.
    var bytes: [UInt8] = []
    swap(&bytes, &buffer)
    try bytes.span.bytes.withUnsafeBytes { bytes throws(NARError) in try send(bytes) }
    bytes.removeAll(keepingCapacity: true)
    swap(&bytes, &buffer)
  }

  private mutating func send(_ bytes: UnsafeRawBufferPointer) throws(NARError) {
    do {
      try sink.write(bytes)
    } catch {
      throw NARError(.sinkFailed, offset: encoder.offset, cause: error)
    }
  }
}
