/// Where a node stands: which of the known roots, and which place in its tree.
///
/// The places of a tree are numbered as a walk meets them: the root is 0, an entry comes behind all that is
/// below the entries before it. The sizes that directories state say how many numbers each takes, so that a
/// number leads down from the root to its place, and nothing has to be remembered for it. Numbers
/// below a directory never leave the range of that directory: what a size that is too small leaves without a
/// number has no place.
struct NodePlace: Hashable, Sendable, BitwiseCopyable {
  /// Its number in `RootPlaces`, from 1 on.
  let root: UInt32
  let index: UInt64

  static let rootLimit: UInt32 = 1 << 20
  static let indexLimit: UInt64 = 1 << 40
  private static let indexBits: UInt64 = 40

  /// A root itself.
  init(root: UInt32) {
    self.root = root
    index = 0
  }

  private init(root: UInt32, index: UInt64) {
    self.root = root
    self.index = index
  }

  /// The place in a node id; `nil` for ids without one.
  init?(id: UInt64) {
    let number = id >> UInt64(NodeTable.shardBits)
    guard id & NodePlace.none == 0, number >> NodePlace.indexBits > 0 else { return nil }
    root = UInt32(number >> NodePlace.indexBits)
    index = number & (NodePlace.indexLimit - 1)
  }

  /// Set in the ids of nodes without a place.
  static let none: UInt64 = 1 << 63

  /// As the bits of a node id, without the shard.
  var bits: UInt64 {
    (UInt64(root) << Self.indexBits | index) << UInt64(NodeTable.shardBits)
  }

  /// The place of a child.
  ///
  /// - Parameters:
  ///   - offset: See `DirectoryNumbering`.
  ///   - size: How many places are below the child, as it is stated.
  ///   - limit: How many are below this directory, as its own parent states it.
  func child(at offset: UInt64, size: UInt64, within limit: UInt64) -> NodePlace? {
    let (last, overflow) = offset.addingReportingOverflow(size)
    guard !overflow, last <= limit, last < Self.indexLimit - index else { return nil }
    return NodePlace(root: root, index: index + offset)
  }
}
