internal import CZstd

/// Compresses, one frame after the other. Keep it: making one costs more than a small frame.
package struct ZstdCompressor: ~Copyable, @unchecked Sendable {
  // Sendable: the context has this one owner, whose mutating calls are one at a time.
  private let context: OpaquePointer

  /// The levels that there are. Above 19 memory grows to gigabytes, for a few percent.
  package static let levels = 1...19

  /// - Parameter level: How hard to try; brought into ``levels``.
  /// - Throws: `.outOfMemory`.
  package init(level: Int = 3) throws(ZstdError) {
    guard let context = ZSTD_createCCtx() else { throw .outOfMemory }
    let level = min(max(level, Self.levels.lowerBound), Self.levels.upperBound)
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, CInt(level))
    self.context = context
  }

  deinit {
    ZSTD_freeCCtx(context)
  }

  /// Compresses bytes to one frame, which says how long they are.
  ///
  /// - Parameter output: Where the frame is appended; unchanged when it fails.
  package mutating func compress(
    _ bytes: UnsafeRawBufferPointer,
    appendingTo output: inout [UInt8]
  ) throws(ZstdError) {
    try compress([bytes], appendingTo: &output)
  }

  /// Compresses records that follow each other to one frame, which says how long they are together.
  ///
  /// - Parameter output: Where the frame is appended; unchanged when it fails.
  package mutating func compress(
    _ records: [UnsafeRawBufferPointer],
    appendingTo output: inout [UInt8]
  ) throws(ZstdError) {
    let length = records.reduce(0) { $0 + $1.count }
    ZSTD_CCtx_reset(context, ZSTD_reset_session_only)
    let code = ZSTD_CCtx_setPledgedSrcSize(context, CUnsignedLongLong(length))
    if ZSTD_isError(code) != 0 { throw ZstdError(code) }

    var failure: ZstdError?
    // Enough for whatever the bytes are, so that each call takes all of its input.
    let bound = ZSTD_compressBound(length)
    output += [UInt8](unsafeUninitializedCapacity: bound) { frame, written in
      switch stream(records, into: UnsafeMutableRawBufferPointer(frame)) {
      case .success(let count): written = count
      case .failure(let error): failure = error
      }
    }
    if let failure { throw failure }
  }

  private func stream(
    _ records: [UnsafeRawBufferPointer],
    into output: UnsafeMutableRawBufferPointer
  ) -> Result<Int, ZstdError> {
    var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
    for record in records {
      var source = ZSTD_inBuffer(src: record.baseAddress, size: record.count, pos: 0)
      while source.pos < source.size {
        let code = ZSTD_compressStream2(context, &target, &source, ZSTD_e_continue)
        if ZSTD_isError(code) != 0 { return .failure(ZstdError(code)) }
      }
    }
    var source = ZSTD_inBuffer(src: nil, size: 0, pos: 0)
    while true {
      let left = ZSTD_compressStream2(context, &target, &source, ZSTD_e_end)
      if ZSTD_isError(left) != 0 { return .failure(ZstdError(left)) }
      if left == 0 { return .success(target.pos) }
      // The bound is the library's own promise.
      guard target.pos < target.size else {
        return .failure(.corrupt("the frame outgrew its bound"))
      }
    }
  }
}
