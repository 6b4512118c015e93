internal import Castore
internal import Glibc

/// One part of the node table: a slab of records, and a hash table that finds them by key.
struct NodeShard {
  private var slab = NodeSlab()
  /// First slot of each bucket's chain; a power of two many.
  private var buckets: [UInt32] = []
  /// Which shard this is: the lowest bits of its node ids.
  let number: UInt32

  init(number: UInt32) {
    self.number = number
  }

  var count: Int { slab.live }

  /// The node of a key, with `lookups` more counted; made where there is none.
  ///
  /// - Parameter target: For a link, its bytes; copied when the node is made.
  /// - Returns: Its id; `nil` where memory or slot numbers have run out.
  mutating func acquire(
    _ key: NodeKey,
    hash: UInt64,
    size: UInt64,
    target: UnsafeRawBufferPointer?,
    lookups: UInt64
  ) -> UInt64? {
    if let slot = find(key, hash: hash), let record = slab[slot] {
      record.pointee.lookups += lookups
      return id(slot, record.pointee.generation)
    }
    var ownedTarget: UnsafeMutableRawPointer?
    if let target, let source = target.baseAddress {
      guard let copy = malloc(target.count) else { return nil }
      copy.copyMemory(from: source, byteCount: target.count)
      ownedTarget = copy
    }
    guard let (slot, record) = slab.take() else {
      free(ownedTarget)
      return nil
    }
    if slab.live > buckets.count { resize(to: max(64, buckets.count * 2)) }
    let bucket = Int(hash >> 8) & (buckets.count - 1)
    let generation = record.pointee.generation
    record.initialize(
      to: NodeRecord(
        digest: key.digest,
        size: size,
        lookups: lookups,
        parent: key.parent,
        position: key.position,
        targetAddress: UInt(bitPattern: ownedTarget),
        generation: generation,
        next: buckets[bucket],
        kind: key.kind
      )
    )
    buckets[bucket] = slot
    return id(slot, generation)
  }

  /// The record of a node id; `nil` for an id that stands for nothing (any more).
  func record(_ id: UInt64) -> UnsafeMutablePointer<NodeRecord>? {
    let slot = UInt32(truncatingIfNeeded: id) >> NodeTable.shardBits
    guard let record = slab[slot], record.pointee.kind != .free,
      record.pointee.generation == UInt32(truncatingIfNeeded: id >> 32)
    else { return nil }
    return record
  }

  /// Takes back counted lookups, and the node with the last of them. Counts that are too high, as a
  /// hostile kernel may send them, end the node and nothing else.
  mutating func forget(_ id: UInt64, lookups: UInt64) {
    guard let record = record(id) else { return }
    guard lookups >= record.pointee.lookups else {
      record.pointee.lookups -= lookups
      return
    }
    let slot = UInt32(truncatingIfNeeded: id) >> NodeTable.shardBits
    unlink(slot, record)
    free(record.pointee.target)
    record.pointee.targetAddress = 0
    slab.giveBack(slot)
    if buckets.count > 64 && slab.live < buckets.count / 4 { resize(to: buckets.count / 2) }
  }

  /// Frees everything.
  mutating func removeAll() {
    slab.forEach { _, record in free(record.pointee.target) }
    slab.removeAll()
    buckets = []
  }

  private func id(_ slot: UInt32, _ generation: UInt32) -> UInt64 {
    UInt64(generation) << 32 | UInt64(slot << NodeTable.shardBits | number)
  }

  private func find(_ key: NodeKey, hash: UInt64) -> UInt32? {
    guard !buckets.isEmpty else { return nil }
    var slot = buckets[Int(hash >> 8) & (buckets.count - 1)]
    while slot != NodeSlab.noSlot, let record = slab[slot] {
      if key.matches(record.pointee) { return slot }
      slot = record.pointee.next
    }
    return nil
  }

  private mutating func unlink(_ slot: UInt32, _ record: UnsafeMutablePointer<NodeRecord>) {
    let bucket = Int(key(of: record.pointee).hash >> 8) & (buckets.count - 1)
    if buckets[bucket] == slot {
      buckets[bucket] = record.pointee.next
      return
    }
    var before = buckets[bucket]
    while before != NodeSlab.noSlot, let previous = slab[before] {
      if previous.pointee.next == slot {
        previous.pointee.next = record.pointee.next
        return
      }
      before = previous.pointee.next
    }
  }

  private func key(of record: NodeRecord) -> NodeKey {
    NodeKey(
      digest: record.digest,
      parent: record.parent,
      position: record.position,
      kind: record.kind
    )
  }

  private mutating func resize(to count: Int) {
    var fresh = [UInt32](repeating: NodeSlab.noSlot, count: count)
    slab.forEach { slot, record in
      let bucket = Int(key(of: record.pointee).hash >> 8) & (count - 1)
      record.pointee.next = fresh[bucket]
      fresh[bucket] = slot
    }
    buckets = fresh
  }
}
