public import Castore

extension LocalStore {
  /// Counts what the store holds.
  ///
  /// - Complexity: O(objects): looks at every one.
  public func statistics() throws(ServiceError) -> StoreStatistics {
    var statistics = StoreStatistics()
    try core.forEachPage(.blobs) { (_, value) throws(ServiceError) in
      guard let record = BlobRecord(value) else { return }
      statistics.blobs += 1
      statistics.blobBytes = statistics.blobBytes &+ record.size
      if case .file(let size) = record {
        statistics.fileBlobs += 1
        statistics.fileBlobBytes = statistics.fileBlobBytes &+ size
      }
    }
    try core.forEachPage(.directories) { (_, value) throws(ServiceError) in
      statistics.directories += 1
      statistics.directoryBytes = statistics.directoryBytes &+ UInt64(value.count)
    }
    statistics.roots = try core.index.read { (reader) throws(ServiceError) in
      try reader.count(.roots)
    }
    statistics.indexBytes = core.index.usedBytes
    return statistics
  }
}

extension StoreCore {
  /// Shows all of a table, in views of the index that are short: what others write meanwhile may or
  /// may not be seen, and what they free does not pile up.
  func forEachPage(
    _ table: IndexTable,
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(ServiceError) -> Void
  ) throws(ServiceError) {
    var last: [UInt8]?
    var isAtEnd = false
    while !isAtEnd {
      defer { index.releasePages() }
      var (count, bytes) = (0, 0)
      isAtEnd = true
      try index.read { (reader) throws(ServiceError) in
        try reader.forEach(table, after: last) { (key, value) throws(ServiceError) in
          try body(key, value)
          count += 1
          bytes += value.count
          if count < 4096 && bytes < 16 << 20 { return true }
          last = [UInt8](key)
          isAtEnd = false
          return false
        }
      }
    }
  }
}
