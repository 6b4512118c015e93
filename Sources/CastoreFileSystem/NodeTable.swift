internal import Castore
internal import Glibc
internal import Platform

/// The nodes that the kernel knows, found by id and by content.
///
/// Files and links of equal content share a node, and with it the page cache; every place of a
/// directory has one of its own. Nodes are counted as the kernel counts them and leave with the last
/// FORGET; a directory stays for as long as one below it does, so that the way up is always there. Safe from
/// any thread: split into shards, each behind a lock of its own, held for well under a microsecond.
///
/// A node id is, from the top: 20 bits root and 40 bits index of its place, 3 bits shard (see `NodePlace`).
/// What has no place gets a number that never comes back, with the highest bit set. So an id stands for
/// the same thing for ever, also while there is no node of it.
final class NodeTable: Sendable {
  static let shardBits: UInt32 = 3

  private let shards: [Guarded<NodeShard>]

  init() {
    shards = (0..<(UInt32(1) << Self.shardBits)).map { Guarded(NodeShard(number: $0)) }
  }

  deinit { removeAll() }

  /// How many nodes there are.
  var count: Int { shards.reduce(0) { $0 + $1.withLock { $0.count } } }

  /// Forgets all nodes.
  func removeAll() {
    for shard in shards { shard.withLock { $0.removeAll() } }
  }

  private func shard(_ bits: UInt64) -> Guarded<NodeShard> { shards[Int(bits & 7)] }

  /// The node of a key, with one more lookup counted; made where there is none.
  ///
  /// - Parameters:
  ///   - place: Where the node stands, or one of the places.
  ///   - wanted: Which id it must have: that of its place.
  /// - Throws: `ENOMEM`, or `ESTALE` where the parent is gone or the id is another's.
  func acquire(
    _ key: NodeKey,
    size: UInt64,
    target: UnsafeRawBufferPointer? = nil,
    place: NodePlace? = nil,
    as wanted: UInt64? = nil
  ) throws(Errno) -> UInt64 {
    let hash = key.hash
    let shard = shard(hash)
    if let parent = key.kept {
      if wanted == nil, let id = shard.withLock({ $0.retain(key, size: size, hash: hash) }) {
        return id
      }
      // Before the child is there for others to see: no child without its parent.
      guard self.shard(parent).withLock({ $0.keep(parent) }) else { throw Errno(ESTALE) }
    }
    let outcome = shard.withLock {
      $0.acquire(key, size: size, hash: hash, target: target, place: place, as: wanted)
    }
    if case .made(let id) = outcome { return id }
    if let parent = key.kept { letGo(parent) }
    switch outcome {
    case .known(let id), .made(let id): return id
    case .mismatch: throw Errno(ESTALE)
    case .exhausted: throw Errno(ENOMEM)
    }
  }

  /// Counts one more lookup of a node that is known, and returns a copy of its record.
  func retain(_ id: UInt64) -> NodeRecord? {
    shard(id).withLock {
      guard let record = $0.record(id) else { return nil }
      record.pointee.lookups += 1
      return record.pointee
    }
  }

  /// A copy of a node's record; `nil` for an id that stands for nothing (any more).
  ///
  /// Its `target` must not be followed: use `copyTarget`.
  func record(_ id: UInt64) -> NodeRecord? {
    shard(id).withLock { $0.record(id)?.pointee }
  }

  /// Copies a link's target into `buffer`, which holds at least 4095 bytes.
  ///
  /// - Returns: Its length.
  /// - Throws: `ESTALE` where the node is gone, `EINVAL` where it is no link.
  func copyTarget(_ id: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
    // Copied under the lock: a hostile guest may forget the node while we read it.
    try shard(id).withLock { (shard) throws(Errno) in
      guard let record = shard.record(id) else { throw Errno(ESTALE) }
      guard let target = record.pointee.target, record.pointee.size <= UInt64(buffer.count),
        let destination = buffer.baseAddress
      else { throw Errno(EINVAL) }
      let count = Int(record.pointee.size)
      destination.copyMemory(from: target, byteCount: count)
      return count
    }
  }

  /// Takes back lookups that were counted.
  func forget(_ id: UInt64, lookups: UInt64) {
    if let parent = shard(id).withLock({ $0.forget(id, lookups: lookups) }) { letGo(parent) }
  }

  /// Counts one child less, and so on upwards where that was the last.
  private func letGo(_ id: UInt64) {
    var next: UInt64? = id
    while let id = next { next = shard(id).withLock { $0.letGo(id) } }
  }
}
