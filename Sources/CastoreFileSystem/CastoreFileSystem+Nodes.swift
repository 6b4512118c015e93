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

/// A child of a directory, as far as the kernel needs to know: borrowed from the directory.
struct Child: Equatable {
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
}

extension CastoreFileSystem {
  func attributes(
    _ kind: NodeRecord.Kind,
    _ digest: B3Digest,
    _ size: UInt64,
    position: UInt64
  ) -> Attributes {
    // The kernel refuses sizes above this; a directory's is no length, and may be anything.
    let size = min(size, UInt64(Int64.max))
    var attributes = Attributes(
      inode: inode(kind, digest, position: position),
      type: kind.type,
      permissions: kind.permissions,
      size: size
    )
    // Only file contents take space.
    if kind == .directory || kind == .symlink { attributes.blocks = 0 }
    (attributes.seconds, attributes.nanoseconds) = options.modificationTime.time(of: digest)
    (attributes.user, attributes.group) = options.owner
    return attributes
  }

  func attributes(of record: NodeRecord) -> Attributes {
    attributes(record.kind, record.digest, record.size, position: record.position)
  }

  /// The root's times move with its names, which tells the kernel to forget a listing that it keeps.
  func rootAttributes() -> Attributes {
    var attributes = Attributes(
      inode: .root,
      type: .directory,
      permissions: 0o555,
      size: 0
    )
    attributes.seconds = options.modificationTime.rootSeconds
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

  /// The entry of a directory's child, with one more lookup counted on its node.
  ///
  /// - Parameters:
  ///   - place: Which child it is.
  ///   - wanted: Which id its node must have, if that matters.
  func entry(
    at place: Int,
    of directory: LoadedDirectory,
    in parent: NodeRecord,
    as wanted: UInt64? = nil
  ) throws(Errno) -> Entry {
    let index = directory.index
    let view = index.entry(at: place)
    let child = Child(view)
    let position = position(of: view.name, entry: UInt64(place), in: inode(of: parent))
    let key = key(of: child, parent: parent.id, position: position)
    let numbered = NodePlace(id: parent.id)?.child(
      at: directory.numbering.offset(of: place),
      size: child.kind == .directory ? child.size : 0,
      within: parent.size
    )
    return try entry(child, key, position, view.target, numbered, as: wanted)
  }

  /// What the node of a child is found by.
  func key(of child: Child, parent: UInt64, position: UInt64) -> NodeKey {
    // A node has one number: where those go by place, every place needs a node.
    child.kind == .directory || options.inodeNumbers == .place
      ? .placed(child.kind, child.digest, parent: parent, position: position)
      : .shared(child.kind, child.digest)
  }

  /// Where a name in the root stands.
  func rootPosition(_ name: PathComponent) -> UInt64 {
    position(
      of: name.bytes.span.bytes,
      entry: B3Digest(hashing: name.bytes).words.0,
      in: .root
    )
  }

  /// The same for a name in the root, which can be re-pointed and so expires.
  func rootEntry(_ name: PathComponent, _ node: Node) throws(Errno) -> Entry {
    // The place is the name; a name that is re-pointed is another directory by its digest.
    let position = rootPosition(name)
    var target: [UInt8] = []
    if case .symlink(let link) = node { target = link.bytes }
    let child = Child(node)
    let place = places.place(RootPlaces.Root(name: position, child: child, target: target))
    let key = key(of: child, parent: NodeID.root.rawValue, position: position)
    var entry = try entry(child, key, position, target.span.bytes, place)
    entry.nameValidity = options.rootValidity
    knownRoots?.remember(name, node, id: entry.node.rawValue) { nodes.record($0) != nil }
    return entry
  }

  func entry(
    _ child: Child,
    _ key: NodeKey,
    _ position: UInt64,
    _ target: RawSpan,
    _ place: NodePlace?,
    as wanted: UInt64? = nil
  ) throws(Errno) -> Entry {
    let id = try target.withUnsafeBytes { target throws(Errno) in
      try nodes.acquire(
        key,
        size: child.size,
        target: child.kind == .symlink ? target : nil,
        place: place,
        as: wanted
      )
    }
    return Entry(
      node: NodeID(rawValue: id),
      attributes: attributes(child.kind, child.digest, child.size, position: position)
    )
  }
}
