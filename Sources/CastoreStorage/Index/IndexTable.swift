/// The tables of the index. The raw value is the place of the table's handle.
enum IndexTable: Int, CaseIterable {
  /// Digest to `BlobRecord`.
  case blobs
  /// Digest to the canonical encoding.
  case directories
  /// Name to encoded node.
  case roots
  /// Store path digest (20 bytes) to whatever the path info layer writes.
  case pathInfos
  /// Length (8 bytes, big-endian) of every blob that has a file of its own, to nothing. Lets an import
  /// tell without reading that a large file cannot be known yet.
  case largeSizes
  /// Facts about the store, each under a word.
  case facts

  /// The table's name on disk.
  var name: String {
    switch self {
    case .blobs: "blobs"
    case .directories: "directories"
    case .roots: "roots"
    case .pathInfos: "pathinfos"
    case .largeSizes: "large-sizes"
    case .facts: "facts"
    }
  }
}
