import Platform

/// Sees to it that big blobs that are open but not read hold few streams: each has a place at the server
/// and megabytes in windows.
final class StreamBudget: Sendable {
  private struct Entry {
    weak var reader: StreamingBlobReader?
  }

  private let limit: Int
  // The longest unused first.
  private let entries = Guarded<[Entry]>([])

  init(limit: Int) {
    self.limit = limit
  }

  /// Notes that a reader has a stream, and was used.
  ///
  /// - Returns: A reader that is to let go of its stream, where there are too many.
  func used(_ reader: StreamingBlobReader) -> StreamingBlobReader? {
    entries.withLock { entries in
      entries.removeAll { $0.reader == nil || $0.reader === reader }
      entries.append(Entry(reader: reader))
      guard entries.count > limit else { return nil }
      return entries.removeFirst().reader
    }
  }
}
