internal import Castore
internal import Platform

/// The nodes that the kernel knows, found by id and by content.
///
/// Files and links of equal content share a node, and with it the page cache; every place of a
/// directory has one of its own. Nodes are counted as the kernel counts them and leave with the last
/// FORGET; an id never comes back. Safe from any thread: split into shards, each behind a lock of its
/// own, held for well under a microsecond.
///
/// A node id is, from the top: 32 bits generation (never 0, so that no id is the root's 1), slot,
/// 3 bits shard.
final class NodeTable: Sendable {
  static let shardBits: UInt32 = 3
  static let generationLimit = UInt32(Int32.max)

  private let shards: [Guarded<NodeShard>]

  init() {
    shards = (0..<(UInt32(1) << Self.shardBits)).map { Guarded(NodeShard(number: $0)) }
  }

  deinit {
    for shard in shards { shard.withLock { $0.removeAll() } }
  }

  /// How many nodes there are.
  var count: Int { shards.reduce(0) { $0 + $1.withLock { $0.count } } }

  /// The node of a key, with one more lookup counted; made where there is none.
  ///
  /// - Returns: `nil` where memory has run out.
  func acquire(_ key: NodeKey, size: UInt64, target: UnsafeRawBufferPointer? = nil) -> UInt64? {
    let hash = key.hash
    return shards[Int(hash & 7)].withLock {
      $0.acquire(key, hash: hash, size: size, target: target, lookups: 1)
    }
  }

  /// Counts one more lookup of a node that is known, and returns a copy of its record.
  func retain(_ id: UInt64) -> NodeRecord? {
    shards[Int(id & 7)].withLock {
      guard let record = $0.record(id) else { return nil }
      record.pointee.lookups += 1
      return record.pointee
    }
  }

  /// A copy of a node's record; `nil` for an id that stands for nothing (any more).
  ///
  /// Its `target` must not be followed: use `copyTarget`.
  func record(_ id: UInt64) -> NodeRecord? {
    shards[Int(id & 7)].withLock { $0.record(id)?.pointee }
  }

  /// Copies a link's target into `buffer`, which holds at least 4095 bytes.
  ///
  /// - Returns: Its length; `nil` where the node is gone or no link.
  func copyTarget(_ id: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int? {
    // Copied under the lock: a hostile guest may forget the node while we read it.
    shards[Int(id & 7)].withLock {
      guard let record = $0.record(id), let target = record.pointee.target,
        record.pointee.size <= UInt64(buffer.count), let destination = buffer.baseAddress
      else { return nil }
      let count = Int(record.pointee.size)
      destination.copyMemory(from: target, byteCount: count)
      return count
    }
  }

  /// Takes back lookups that were counted.
  func forget(_ id: UInt64, lookups: UInt64) {
    shards[Int(id & 7)].withLock { $0.forget(id, lookups: lookups) }
  }
}
