internal import CZstd

/// Decompresses a stream that comes piece by piece, from anybody.
///
/// Memory is that of the window; how much comes out is the caller's to limit, who gives the room for it.
package struct ZstdInflater: ~Copyable, @unchecked Sendable {
  // Sendable: the context has this one owner, whose mutating calls are one at a time.

  /// How far a step came.
  package struct Step: Hashable, Sendable {
    /// How many bytes of the input were taken.
    package var consumed: Int
    /// How many bytes of the output were filled.
    package var produced: Int
  }

  private let context: OpaquePointer
  // Between frames the stream may end.
  private var isBetweenFrames = true

  /// - Parameter maximumWindow: As of ``ZstdDecompressor``.
  /// - Throws: `.outOfMemory`.
  package init(maximumWindow: Int = 8 << 20) throws(ZstdError) {
    context = try makeContext(maximumWindow)
  }

  deinit {
    ZSTD_freeDCtx(context)
  }

  /// Takes as much of the input, and fills as much of the output, as it can.
  ///
  /// When the output was filled, more may come without new input; call again until it is not.
  package mutating func inflate(
    _ input: UnsafeRawBufferPointer,
    into output: UnsafeMutableRawBufferPointer
  ) throws(ZstdError) -> Step {
    var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
    var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
    while source.pos < source.size || !isBetweenFrames {
      let before = (source.pos, target.pos)
      let code = ZSTD_decompressStream(context, &target, &source)
      if ZSTD_isError(code) != 0 { throw ZstdError(code) }
      isBetweenFrames = code == 0
      if target.pos == target.size || (source.pos, target.pos) == before { break }
    }
    return Step(consumed: source.pos, produced: target.pos)
  }

  /// Says that there is no more input.
  ///
  /// - Throws: `.truncated` where a frame is not at its end.
  package consuming func finish() throws(ZstdError) {
    if !isBetweenFrames { throw .truncated }
  }
}
