/// Reads a NAR from a byte source, event by event.
///
/// Reads ahead in the source, which is why a complete NAR must be all that the source holds: what
/// follows is an error. A NAR inside of another stream is read with `NARParser`.
public struct NARReader<Source: ByteSource & ~Copyable>: ~Copyable {
  private var source: Source
  private var parser: NARParser
  // Owned memory, freed in `deinit`: a span of an array in `self` would borrow all of `self`.
  private let buffer: UnsafeMutableRawBufferPointer
  private var start = 0
  private var end = 0
  private var isExhausted = false

  /// Starts at the first byte of a NAR.
  ///
  /// - Parameters:
  ///   - source: Where the bytes come from.
  ///   - maximumDepth: How deep directories may nest.
  ///   - bufferSize: How much is read at once.
  public init(
    _ source: consuming Source,
    maximumDepth: Int = NARLimits.defaultMaximumDepth,
    bufferSize: Int = 65_536
  ) {
    precondition(bufferSize > 0, "a read that asks for nothing means nothing")
    self.source = source
    parser = NARParser(maximumDepth: maximumDepth)
    buffer = .allocate(byteCount: bufferSize, alignment: 16)
  }

  deinit {
    buffer.deallocate()
  }

  /// How many bytes of the NAR were taken so far. Right after a `file` event this is where the
  /// contents begin.
  public var offset: UInt64 { parser.offset }

  /// How many bytes of contents of the current file are still unread.
  public var contentsRemaining: UInt64 { parser.contentsRemaining }

  /// Goes on to the next event, past contents that were not read.
  ///
  /// - Returns: `nil` once the whole tree was given and the source has ended too.
  /// - Throws: The first error of the NAR, and the same again on every call after it; errors of the
  ///   source.
  public mutating func next() throws(NARError) -> NAREvent? {
    let buffer = buffer
    while true {
      // In bounds and filled by the source: `end` is what it said.
      let filled = UnsafeRawBufferPointer(rebasing: buffer[..<end])
      let event = try parser.next(in: filled.bytes, from: &start)
      if let event { return event }
      guard try refill() else {
        try parser.finish()
        return nil
      }
    }
  }

  /// Reads contents of the current file.
  ///
  /// Large reads go from the source to `output` without a stop in between.
  ///
  /// - Returns: How many bytes of `output` were filled; 0 only at the end of the file.
  public mutating func readContents(
    into output: UnsafeMutableRawBufferPointer
  ) throws(NARError) -> Int {
    let wanted = Int(min(UInt64(output.count), parser.contentsRemaining))
    guard wanted > 0 else { return 0 }
    if start == end, wanted < buffer.count, try !refill() { try parser.finish() }
    let count: Int
    if start < end {
      count = min(wanted, end - start)
      output.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[start..<(start + count)]))
      start += count
    } else {
      count = try read(into: UnsafeMutableRawBufferPointer(rebasing: output[..<wanted]))
      if count == 0 { try parser.finish() }
    }
    parser.passContents(count)
    return count
  }

  /// Reads the rest of the contents of the current file into memory.
  ///
  /// - Parameter limit: The most bytes to read; what is beyond stays unread.
  public mutating func readContents(upTo limit: Int) throws(NARError) -> [UInt8] {
    var contents: [UInt8] = []
    // Grows with what really comes: the stated size is only a claim.
    while contents.count < limit, parser.contentsRemaining > 0 {
      if start == end, try !refill() { try parser.finish() }
      let remaining = min(UInt64(limit - contents.count), parser.contentsRemaining)
      let count = Int(min(remaining, UInt64(end - start)))
      contents.append(contentsOf: buffer[start..<(start + count)])
      start += count
      parser.passContents(count)
    }
    return contents
  }

  /// Reads into the empty buffer.
  ///
  /// - Returns: Whether there were any bytes left.
  private mutating func refill() throws(NARError) -> Bool {
    let offset = parser.offset
    let count: Int
    do {
      count = try isExhausted ? 0 : source.read(into: buffer)
    } catch {
      throw NARError(.sourceFailed, offset: offset, cause: error)
    }
    precondition(0...buffer.count ~= count, "a source fills no more than the buffer")
    (start, end) = (0, count)
    isExhausted = count == 0
    return count > 0
  }

  private mutating func read(
    into output: UnsafeMutableRawBufferPointer
  ) throws(NARError) -> Int {
    do {
      let count = try isExhausted ? 0 : source.read(into: output)
      precondition(0...output.count ~= count, "a source fills no more than the buffer")
      isExhausted = count == 0
      return count
    } catch {
      throw NARError(.sourceFailed, offset: parser.offset, cause: error)
    }
  }
}

// Sendable: `buffer` is memory that this value alone knows, and the value cannot be copied.
extension NARReader: @unchecked Sendable where Source: Sendable & ~Copyable {}
