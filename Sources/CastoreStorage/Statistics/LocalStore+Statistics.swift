public import Castore
internal import CastoreNames
internal import Packs

extension LocalStore {
  /// Counts what the store holds, and what of it is still referred to.
  ///
  /// Where the store can be written its index is made one table first. Where not, an object that lies in two
  /// packs may be counted twice, and what is referred to is not told.
  ///
  /// - Complexity: O(objects).
  public func statistics() throws(ServiceError) -> StoreStatistics {
    var counter = StatisticsCounter(core: core)
    try counter.countNames()
    if isReadOnly {
      try counter.countPacks(core.index.refresh().packs, countingRecords: true)
      return counter.statistics
    }
    let collector = try Collector(core: core, unnamedSince: nil)
    if let (table, marks) = try collector.markAll() {
      counter.statistics.indexBytes = table.bytes.length
      counter.statistics.liveBytes = 0
      counter.statistics.deadBytes = 0
      try collector.forEachEntry(of: table) { (ordinal, entry) throws(ServiceError) in
        try counter.count(
          entry.at,
          in: table.packs[entry.pack],
          isLive: marks.live.contains(ordinal)
        )
      }
      try counter.countPacks(Set(table.packs), countingRecords: false)
    }
    return counter.statistics
  }

  /// Tells in a moment what the store is like.
  ///
  /// - Returns: How many blobs there are, and how many bytes those that are files have.
  /// - Complexity: O(packs + large blobs).
  public func outline() throws(ServiceError) -> (blobs: UInt64, fileBytes: UInt64) {
    var blobs: UInt64 = 0
    for table in core.index.snapshot.tables { blobs += UInt64(table.reader.count) }
    for id in core.index.snapshot.uncovered {
      blobs += UInt64(try core.index.packs.pack(id)?.reader.count ?? 0)
    }
    var bytes: UInt64 = 0
    try core.blobs.forEachFile { (file) throws(ServiceError) in bytes &+= file.size }
    return (blobs, bytes)
  }
}

private struct StatisticsCounter {
  let core: StoreCore
  var statistics = StoreStatistics()
  private var recordBytes: UInt64 = 0

  init(core: StoreCore) {
    self.core = core
  }

  mutating func countNames() throws(ServiceError) {
    let counts = try core.names.counts()
    statistics.roots = UInt64(counts.roots)
    statistics.pathInfos = UInt64(counts.pathInfos)
    statistics.pins = UInt64(counts.pins)
  }

  mutating func count(
    _ place: RecordPlace,
    in pack: PackID,
    isLive: Bool?
  ) throws(ServiceError) {
    let length = UInt64(place.length)
    recordBytes &+= length
    var bytes = length
    if place.kind == .directory {
      statistics.directories += 1
      statistics.directoryBytes &+= length
    } else {
      statistics.blobs += 1
      if place.kind != .blob {
        if let pack = try core.index.packs.pack(pack) { bytes = try core.size(pack, place) }
        statistics.fileBlobs += 1
        statistics.fileBlobBytes &+= bytes
      }
      statistics.blobBytes &+= bytes
    }
    switch isLive {
    case true?: statistics.liveBytes = (statistics.liveBytes ?? 0) &+ bytes
    case false?: statistics.deadBytes = (statistics.deadBytes ?? 0) &+ bytes
    case nil: break
    }
  }

  /// Counts packs, and what their tables list more than the index does.
  mutating func countPacks(
    _ ids: Set<PackID>,
    countingRecords: Bool
  ) throws(ServiceError) {
    var listedBytes: UInt64 = 0
    for id in ids {
      guard let pack = try core.index.packs.pack(id) else { continue }
      statistics.packs += 1
      statistics.packBytes += pack.reader.header.fileLength
      var places: [RecordPlace] = []
      do throws(PackError) {
        try pack.reader.forEach { (entry) throws(PackError) in
          places.append(entry.at)
          return true
        }
      } catch {
        throw ServiceError(error, in: core.index.packs.path(of: id))
      }
      for place in places {
        listedBytes &+= UInt64(place.length)
        if countingRecords { try count(place, in: id, isLive: nil) }
      }
    }
    statistics.duplicateBytes = listedBytes - min(listedBytes, recordBytes)
  }
}
