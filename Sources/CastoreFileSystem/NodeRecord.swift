internal import Castore

/// What the node table holds of one node: a fixed 96 bytes, no references into the Swift heap.
struct NodeRecord: BitwiseCopyable, Sendable {
  /// What a node is. Raw values are not on any wire.
  enum Kind: UInt8 {
    case free
    case directory
    case file
    case executable
    case symlink
  }

  /// The digest of the contents, of the directory's encoding, or of the link's target.
  var digest: B3Digest
  /// The size that `stat` shows, in bytes; for a link the length of its target.
  var size: UInt64
  /// What the kernel knows the node by.
  var id: UInt64
  /// How many lookups the kernel still counts.
  var lookups: UInt64
  /// Whatever has a node for each place, as directories have: the node id of the parent.
  var parent: UInt64
  /// The same: which entry of the parent it is, or its inode number where that goes by place.
  var position: UInt64
  /// Links: the address of `size` bytes of `malloc`'s, owned by the record; 0 for others. A number,
  /// because copies of the record leave the lock and must not follow it.
  var targetAddress: UInt
  /// Directories: how many nodes have this one as parent. They keep it, whatever the kernel forgets.
  var children: UInt32
  /// The next slot with the same hash of the key, or of the free list.
  var nextByKey: UInt32
  /// The next slot with the same hash of the id.
  var nextByID: UInt32
  var kind: Kind

  /// The target's bytes; only under the lock of the record's shard.
  var target: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: targetAddress) }

  var key: NodeKey { NodeKey(digest: digest, parent: parent, position: position, kind: kind) }

  /// The next slot of one of the two chains that a record is in.
  subscript(next chain: NodeChain) -> UInt32 {
    get { chain == .keys ? nextByKey : nextByID }
    set { if chain == .keys { nextByKey = newValue } else { nextByID = newValue } }
  }

  func hash(_ chain: NodeChain) -> UInt64 {
    chain == .keys ? key.hash >> 8 : Self.hash(id)
  }

  static func hash(_ id: UInt64) -> UInt64 { (id &* 0x9E37_79B9_7F4A_7C15) >> 32 }
}

/// What a record is found by.
enum NodeChain: CaseIterable {
  case keys
  case ids
}

/// What a node is found by: equal keys, one node.
struct NodeKey: BitwiseCopyable, Sendable {
  var digest: B3Digest
  var parent: UInt64
  var position: UInt64
  var kind: NodeRecord.Kind

  /// A file or link, where numbers go by content: shared by all places that have the same content.
  static func shared(_ kind: NodeRecord.Kind, _ digest: B3Digest) -> NodeKey {
    NodeKey(digest: digest, parent: 0, position: 0, kind: kind)
  }

  /// One node for each place. Directories always, because Linux moves the one dentry of a shared directory.
  static func placed(
    _ kind: NodeRecord.Kind,
    _ digest: B3Digest,
    parent: UInt64,
    position: UInt64
  ) -> NodeKey {
    NodeKey(digest: digest, parent: parent, position: position, kind: kind)
  }

  /// Well mixed as it is: digests are uniform, places are multiplied out.
  var hash: UInt64 {
    let place = (parent &+ position &* 0x9E37_79B9_7F4A_7C15) &* 0xD6E8_FEB8_6659_FD93
    return digest.words.0 ^ (place ^ place >> 32) ^ UInt64(kind.rawValue) &* 0xA076_1D64_78BD_642F
  }

  /// The node that a node of this key keeps: its parent, unless that is the root.
  var kept: UInt64? { parent > 1 ? parent : nil }

  func matches(_ record: NodeRecord) -> Bool {
    record.kind == kind && record.digest == digest && record.parent == parent
      && record.position == position
  }
}
