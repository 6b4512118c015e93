internal import Castore
internal import Glibc

/// One part of the node table: a slab of records, found by key and by id.
struct NodeShard {
  private var slab = NodeSlab()
  /// First slots of the chains, by hash; a power of two many.
  private var keys: [UInt32] = []
  private var ids: [UInt32] = []
  /// How many ids without a place were handed out.
  private var placeless: UInt64 = 0
  /// Which shard this is: the lowest bits of its node ids.
  let number: UInt32

  init(number: UInt32) {
    self.number = number
  }

  var count: Int { slab.live }

  /// Counts one more lookup of the node of a key; `nil` where there is none.
  func retain(_ key: NodeKey, size: UInt64, hash: UInt64) -> UInt64? {
    guard let record = find(key, size: size, hash: hash) else { return nil }
    record.pointee.lookups += 1
    return record.pointee.id
  }

  /// What became of `acquire`.
  enum Acquisition {
    /// It was there.
    case known(UInt64)
    /// It was made.
    case made(UInt64)
    /// An id was demanded that stands for something else.
    case mismatch
    /// Memory or slot numbers have run out.
    case exhausted
  }

  /// The node of a key, with one more lookup counted; made where there is none.
  ///
  /// - Parameters:
  ///   - target: For a link, its bytes; copied when the node is made.
  ///   - place: What the id of a new node is made of.
  ///   - wanted: Which id the node must have, whatever other node has equal content.
  mutating func acquire(
    _ key: NodeKey,
    size: UInt64,
    hash: UInt64,
    target: UnsafeRawBufferPointer?,
    place: NodePlace?,
    as wanted: UInt64?
  ) -> Acquisition {
    var id = place.map { $0.bits | UInt64(number) }
    if let wanted, wanted != id { return .mismatch }
    if wanted == nil, let known = retain(key, size: size, hash: hash) { return .known(known) }
    if let place = id, let record = record(place) {
      let isSame = key.matches(record.pointee) && record.pointee.size == size
      if wanted != nil {
        guard isSame else { return .mismatch }
        record.pointee.lookups += 1
        return .known(place)
      }
      id = nil
    }
    var ownedTarget: UnsafeMutableRawPointer?
    if let target, let source = target.baseAddress {
      guard let copy = malloc(target.count) else { return .exhausted }
      copy.copyMemory(from: source, byteCount: target.count)
      ownedTarget = copy
    }
    guard let (slot, record) = slab.take() else {
      free(ownedTarget)
      return .exhausted
    }
    if id == nil { placeless += 1 }
    let new = id ?? NodePlace.none | placeless << UInt64(NodeTable.shardBits) | UInt64(number)
    if slab.live > keys.count { resize(to: max(64, keys.count * 2)) }
    record.initialize(
      to: NodeRecord(
        digest: key.digest,
        size: size,
        id: new,
        lookups: 1,
        parent: key.parent,
        position: key.position,
        targetAddress: UInt(bitPattern: ownedTarget),
        children: 0,
        nextByKey: NodeSlab.noSlot,
        nextByID: NodeSlab.noSlot,
        kind: key.kind
      )
    )
    link(slot, record)
    return .made(new)
  }

  /// The record of a node id; `nil` for an id that stands for nothing (any more).
  func record(_ id: UInt64) -> UnsafeMutablePointer<NodeRecord>? {
    slot(id).flatMap { slab[$0] }
  }

  private func slot(_ id: UInt64) -> UInt32? {
    guard !ids.isEmpty else { return nil }
    var slot = ids[bucket(NodeRecord.hash(id))]
    while slot != NodeSlab.noSlot, let record = slab[slot] {
      if record.pointee.id == id { return slot }
      slot = record.pointee.nextByID
    }
    return nil
  }

  /// Takes back counted lookups. Counts that are too high, as a hostile kernel may send them, are all
  /// there are and nothing else.
  ///
  /// - Returns: The parent that the node kept, if it is gone now.
  mutating func forget(_ id: UInt64, lookups: UInt64) -> UInt64? {
    guard let slot = slot(id), let record = slab[slot] else { return nil }
    record.pointee.lookups -= min(lookups, record.pointee.lookups)
    return freeUnused(slot, record)
  }

  /// Counts one more child of a node; false where there is no such node.
  func keep(_ id: UInt64) -> Bool {
    guard let record = record(id) else { return false }
    record.pointee.children += 1
    return true
  }

  /// Counts one child less.
  ///
  /// - Returns: The parent that the node kept, if it is gone now.
  mutating func letGo(_ id: UInt64) -> UInt64? {
    guard let slot = slot(id), let record = slab[slot], record.pointee.children > 0 else {
      return nil
    }
    record.pointee.children -= 1
    return freeUnused(slot, record)
  }

  private mutating func freeUnused(
    _ slot: UInt32,
    _ record: UnsafeMutablePointer<NodeRecord>
  ) -> UInt64? {
    guard record.pointee.lookups == 0, record.pointee.children == 0 else { return nil }
    let kept = record.pointee.key.kept
    for chain in NodeChain.allCases { unlink(slot, record, chain) }
    free(record.pointee.target)
    record.pointee.targetAddress = 0
    slab.giveBack(slot)
    if keys.count > 64 && slab.live < keys.count / 4 { resize(to: keys.count / 2) }
    return kept
  }

  /// Frees everything.
  mutating func removeAll() {
    slab.forEach { _, record in free(record.pointee.target) }
    slab.removeAll()
    keys = []
    ids = []
  }

  private func find(
    _ key: NodeKey,
    size: UInt64,
    hash: UInt64
  ) -> UnsafeMutablePointer<NodeRecord>? {
    guard !keys.isEmpty else { return nil }
    var slot = keys[bucket(hash >> 8)]
    while slot != NodeSlab.noSlot, let record = slab[slot] {
      // A directory that lies about a size must not change what others say about the same content.
      if record.pointee.size == size && key.matches(record.pointee) { return record }
      slot = record.pointee.nextByKey
    }
    return nil
  }

  private func bucket(_ hash: UInt64) -> Int {
    Int(truncatingIfNeeded: hash) & (keys.count - 1)
  }

  private mutating func link(_ slot: UInt32, _ record: UnsafeMutablePointer<NodeRecord>) {
    let (key, id) = (bucket(record.pointee.hash(.keys)), bucket(record.pointee.hash(.ids)))
    record.pointee.nextByKey = keys[key]
    record.pointee.nextByID = ids[id]
    keys[key] = slot
    ids[id] = slot
  }

  private mutating func unlink(
    _ slot: UInt32,
    _ record: UnsafeMutablePointer<NodeRecord>,
    _ chain: NodeChain
  ) {
    let bucket = bucket(record.pointee.hash(chain))
    let next = record.pointee[next: chain]
    var before = chain == .keys ? keys[bucket] : ids[bucket]
    if before == slot {
      if chain == .keys { keys[bucket] = next } else { ids[bucket] = next }
      return
    }
    while before != NodeSlab.noSlot, let previous = slab[before] {
      if previous.pointee[next: chain] == slot {
        previous.pointee[next: chain] = next
        return
      }
      before = previous.pointee[next: chain]
    }
  }

  private mutating func resize(to count: Int) {
    keys = [UInt32](repeating: NodeSlab.noSlot, count: count)
    ids = keys
    slab.forEach { slot, record in link(slot, record) }
  }
}
