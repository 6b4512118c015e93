internal import CZstd

/// Decompresses frames from anybody, one after the other. Keep it: making one costs more than a small
/// frame.
package struct ZstdDecompressor: ~Copyable, @unchecked Sendable {
  // Sendable: the context has this one owner, whose mutating calls are one at a time.
  private let context: OpaquePointer

  /// - Parameter maximumWindow: How many bytes back a frame may refer; what ``decompress(_:limit:)`` and
  ///   ``ZstdInflater`` keep in memory. A power of two, from 1 KiB to 128 MiB; 8 MiB is what the
  ///   format asks every decoder to support.
  /// - Throws: `.outOfMemory`.
  package init(maximumWindow: Int = 8 << 20) throws(ZstdError) {
    context = try makeContext(maximumWindow)
  }

  deinit {
    ZSTD_freeDCtx(context)
  }

  /// Decompresses what is known to fill a buffer exactly.
  ///
  /// Takes no memory but the buffer, whatever the frame says.
  ///
  /// - Parameter frame: One frame, or several that follow each other.
  package mutating func decompress(
    _ frame: UnsafeRawBufferPointer,
    into output: UnsafeMutableRawBufferPointer
  ) throws(ZstdError) {
    ZSTD_DCtx_reset(context, ZSTD_reset_session_only)
    let length = ZSTD_decompressDCtx(
      context,
      output.baseAddress,
      output.count,
      frame.baseAddress,
      frame.count
    )
    if ZSTD_isError(length) != 0 {
      if ZSTD_getErrorCode(length) == ZSTD_error_dstSize_tooSmall {
        throw .tooLong(limit: output.count)
      }
      throw ZstdError(length)
    }
    if length != output.count { throw .tooShort(expected: output.count, got: length) }
  }

  /// Decompresses what is at most `limit` bytes.
  ///
  /// Memory is that of what comes out, of the window, and 128 KiB; what a frame says of its length is not
  /// believed.
  ///
  /// - Parameter frame: One frame, or several that follow each other.
  package mutating func decompress(
    _ frame: UnsafeRawBufferPointer,
    limit: Int
  ) throws(ZstdError) -> [UInt8] {
    ZSTD_DCtx_reset(context, ZSTD_reset_session_only)
    let room = UnsafeMutableRawBufferPointer.allocate(
      byteCount: ZSTD_DStreamOutSize(),
      alignment: 64
    )
    defer { room.deallocate() }
    var output: [UInt8] = []
    var source = ZSTD_inBuffer(src: frame.baseAddress, size: frame.count, pos: 0)
    var left = 1
    while left > 0 || source.pos < source.size {
      var target = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
      left = ZSTD_decompressStream(context, &target, &source)
      if ZSTD_isError(left) != 0 { throw ZstdError(left) }
      if target.pos > limit - output.count { throw .tooLong(limit: limit) }
      output.append(contentsOf: UnsafeRawBufferPointer(rebasing: room[..<target.pos]))
      // All is read, and nothing more is to come out: the rest of the frame is missing.
      if left > 0 && source.pos == source.size && target.pos < room.count { throw .truncated }
    }
    return output
  }
}

// Decompression as it must be with bytes from outside.
func makeContext(_ maximumWindow: Int) throws(ZstdError) -> OpaquePointer {
  guard let context = ZSTD_createDCtx() else { throw .outOfMemory }
  let window = min(max(maximumWindow, 1 << 10), 128 << 20)
  let logarithm = Int.bitWidth - 1 - window.leadingZeroBitCount
  ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, CInt(logarithm))
  return context
}
