/// Reads a pack's table of contents from its first entry to its last, some entries at a time.
final class PackCursor {
  /// 12 KiB: a merge has one of these for each pack of a store.
  private static let entriesAtOnce = 256

  let pack: PackReader
  private let table: UInt64
  private let buffer: UnsafeMutableRawBufferPointer
  private var position = 0
  private var buffered = 0..<0

  init(_ pack: PackReader) throws(PackError) {
    table = try pack.goodTable()
    self.pack = pack
    buffer = .allocate(byteCount: Self.entriesAtOnce * PackLayout.entryLength, alignment: 8)
  }

  deinit {
    buffer.deallocate()
  }

  func next() throws(PackError) -> PackEntry? {
    if position == buffered.upperBound {
      let count = min(Self.entriesAtOnce, pack.count - position)
      if count == 0 { return nil }
      try pack.bytes.readExactly(
        at: table + UInt64(position * PackLayout.entryLength),
        into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<(count * PackLayout.entryLength)])
      )
      buffered = position..<position + count
    }
    let offset = (position - buffered.lowerBound) * PackLayout.entryLength
    guard let entry = PackTable.entry(UnsafeRawBufferPointer(buffer).bytes, at: offset) else {
      throw PackError.damaged(
        "the table of contents of \(pack.bytes.name) changed while it was open"
      )
    }
    position += 1
    return entry
  }
}
