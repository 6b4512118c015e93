internal import BLAKE3
internal import Castore
internal import FUSE
internal import Glibc

/// What `st_ino` goes by. Either way it needs no state, is the same on every mount, and keeps its highest
/// eight bits clear.
public enum InodeNumbering: Hashable, Sendable {
  /// Equal content, equal number: files and links share a node and the page cache wherever they stand.
  case content
  /// Every place has a number of its own, made from the parent's and the name. Tools that take equal numbers
  /// for one file (`cp -r`, `du`, `tar`, compilers) see places as they are; equal files at several places
  /// are cached once for each.
  case place
}

extension InodeNumber {
  /// The root's.
  static let root = InodeNumber(rawValue: 1)

  /// The number of some content.
  ///
  /// A file with the executable bit, a directory and a link of the same bytes differ from the plain file.
  init(_ kind: NodeRecord.Kind, _ digest: B3Digest) {
    self.init(mixed: digest.words.1 ^ UInt64(kind.rawValue) &* 0x9E37_79B9_7F4A_7C15)
  }

  /// The number of a place. By a cryptographic hash: no name can be chosen to have the number of another.
  init(of name: RawSpan, in parent: InodeNumber) {
    let prefix = MemoryLayout<UInt64>.size
    let digest = withUnsafeTemporaryAllocation(
      byteCount: prefix + name.byteCount,
      alignment: prefix
    ) { buffer in
      buffer.storeBytes(of: parent.rawValue.littleEndian, as: UInt64.self)
      name.withUnsafeBytes {
        UnsafeMutableRawBufferPointer(rebasing: buffer[prefix...]).copyMemory(from: $0)
      }
      return B3Digest(hashing: UnsafeRawBufferPointer(buffer))
    }
    self.init(mixed: digest.words.0)
  }

  /// The highest eight bits are left clear: an overlay above marks its layers there (`xino`), and
  /// a signed column never overflows. 0 means nothing and 1 is the root, so both are moved away.
  private init(mixed: UInt64) {
    let number = mixed & 0x00FF_FFFF_FFFF_FFFF
    self.init(rawValue: number > 1 ? number : number + 0x0051_7CC1_B727_220A)
  }
}

extension CastoreFileSystem {
  /// What tells a place from the others in the same directory, as node records hold it: its
  /// inode number where those go by place, otherwise which entry it is.
  func position(of name: RawSpan, entry: @autoclosure () -> UInt64, in parent: InodeNumber)
    -> UInt64
  {
    switch options.inodeNumbers {
    case .content: entry()
    case .place: InodeNumber(of: name, in: parent).rawValue
    }
  }

  /// The number of something at a position.
  func inode(_ kind: NodeRecord.Kind, _ digest: B3Digest, position: UInt64) -> InodeNumber {
    switch options.inodeNumbers {
    case .content: InodeNumber(kind, digest)
    case .place: InodeNumber(rawValue: position)
    }
  }

  /// The number of a node.
  func inode(of record: NodeRecord) -> InodeNumber {
    inode(record.kind, record.digest, position: record.position)
  }
}
