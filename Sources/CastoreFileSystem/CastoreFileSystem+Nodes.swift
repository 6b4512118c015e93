internal import BLAKE3
internal import Castore
internal import FUSE
internal import Glibc
internal import Platform

extension NodeRecord.Kind {
  var type: FileType {
    switch self {
    case .free, .file, .executable: .regular
    case .directory: .directory
    case .symlink: .symbolicLink
    }
  }

  // Links are 0444, too: what the seed systems show, and what their tests ask for.
  var permissions: UInt32 {
    switch self {
    case .free, .file, .symlink: 0o444
    case .directory, .executable: 0o555
    }
  }
}

/// The inode number of some content: the same on every mount, at every place.
///
/// Eight bytes of the digest; a file with the executable bit, a directory and a link of the same
/// bytes differ from the plain file. 0 means nothing and 1 is the root, so both are moved away.
func inodeNumber(_ kind: NodeRecord.Kind, _ digest: B3Digest) -> InodeNumber {
  let number = digest.words.1 ^ UInt64(kind.rawValue) &* 0x9E37_79B9_7F4A_7C15
  return InodeNumber(rawValue: number > 1 ? number : number &+ 0x517C_C1B7_2722_0A95)
}

/// A child of a directory, as far as the kernel needs to know: borrowed from the directory.
struct Child {
  var kind: NodeRecord.Kind
  var digest: B3Digest
  var size: UInt64

  init(_ entry: borrowing DirectoryEntryView) {
    size = entry.size
    switch entry.kind {
    case .directory: kind = .directory
    case .file: kind = entry.isExecutable ? .executable : .file
    case .symlink: kind = .symlink
    }
    digest = entry.digest ?? entry.target.withUnsafeBytes { B3Digest(hashing: $0) }
  }

  init(_ node: Node) {
    switch node {
    case .directory(let digest, let size):
      (kind, self.digest, self.size) = (.directory, digest, size)
    case .file(let digest, let size, let isExecutable):
      (kind, self.digest, self.size) = (isExecutable ? .executable : .file, digest, size)
    case .symlink(let target):
      (kind, digest) = (.symlink, B3Digest(hashing: target.bytes))
      size = UInt64(target.bytes.count)
    }
  }

  var inode: InodeNumber { inodeNumber(kind, digest) }
}

extension CastoreFileSystem {
  func attributes(_ kind: NodeRecord.Kind, _ digest: B3Digest, _ size: UInt64) -> Attributes {
    // The kernel refuses sizes above this; a directory's is no length, and may be anything.
    let size = min(size, UInt64(Int64.max))
    var attributes = Attributes(
      inode: inodeNumber(kind, digest),
      type: kind.type,
      permissions: kind.permissions,
      size: size
    )
    // Only file contents take space.
    if kind == .directory || kind == .symlink { attributes.blocks = 0 }
    attributes.seconds = options.modificationTime
    (attributes.user, attributes.group) = options.owner
    return attributes
  }

  func attributes(of record: NodeRecord) -> Attributes {
    attributes(record.kind, record.digest, record.size)
  }

  /// The root's times move with its names, which tells the kernel to forget a listing that it keeps.
  func rootAttributes() -> Attributes {
    var attributes = Attributes(
      inode: InodeNumber(rawValue: 1),
      type: .directory,
      permissions: 0o555,
      size: 0
    )
    attributes.seconds = options.modificationTime
    (attributes.user, attributes.group) = options.owner
    if let version = try? localRoots?.rootsVersion() {
      attributes.nanoseconds = UInt32(version % 1_000_000_000)
    } else {
      // Nobody says when names change: each time the kernel asks counts as a change.
      var now = timespec()
      clock_gettime(CLOCK_MONOTONIC, &now)
      attributes.nanoseconds = UInt32(truncatingIfNeeded: now.tv_nsec)
    }
    return attributes
  }

  /// The entry of a child, with one more lookup counted on its node.
  ///
  /// - Parameters:
  ///   - position: Which child of the parent it is.
  ///   - target: For a link, its bytes.
  func entry(
    _ child: Child,
    parent: UInt64,
    position: UInt64,
    target: RawSpan
  ) throws(Errno) -> Entry {
    let key =
      child.kind == .directory
      ? NodeKey.directory(child.digest, parent: parent, position: position)
      : NodeKey.shared(child.kind, child.digest)
    let id = target.withUnsafeBytes { target in
      nodes.acquire(key, size: child.size, target: child.kind == .symlink ? target : nil)
    }
    guard let id else { throw Errno(ENOMEM) }
    return Entry(
      node: NodeID(rawValue: id),
      attributes: attributes(child.kind, child.digest, child.size)
    )
  }

  /// The same for a name in the root, which can be re-pointed and so expires.
  func rootEntry(_ name: PathComponent, _ node: Node) throws(Errno) -> Entry {
    // The place is the name; a name that is re-pointed is another directory by its digest.
    let position = B3Digest(hashing: name.bytes).words.0
    var target: [UInt8] = []
    if case .symlink(let link) = node { target = link.bytes }
    var entry = try entry(
      Child(node),
      parent: NodeID.root.rawValue,
      position: position,
      target: target.span.bytes
    )
    entry.nameValidity = options.rootValidity
    knownRoots?.remember(name, node, id: entry.node.rawValue) { nodes.record($0) != nil }
    return entry
  }
}
