/// What a record is. A digest may name a record of each kind: the empty file and the empty directory
/// have the same.
package enum RecordKind: UInt8, Sendable, Hashable, Comparable, CaseIterable, BitwiseCopyable {
  /// The bytes of a blob.
  case blob = 1
  /// A directory's encoding.
  case directory = 2
  /// A blob whose bytes are a file of their own: its size and the hashes of its groups.
  case largeBlob = 3
  /// A blob in pieces: its size and the list of its chunks, which are blobs.
  case chunkedBlob = 4

  package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// The kinds that a lookup takes.
package struct RecordKinds: OptionSet, Sendable, Hashable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) { self.rawValue = rawValue }

  /// One kind.
  package init(_ kind: RecordKind) { rawValue = 1 << (kind.rawValue - 1) }

  /// A blob, however it is kept.
  package static let blobs: RecordKinds = [
    RecordKinds(.blob), RecordKinds(.largeBlob), RecordKinds(.chunkedBlob),
  ]
  /// A directory.
  package static let directories = RecordKinds(.directory)
  /// Every kind.
  package static let all: RecordKinds = [.blobs, .directories]

  /// Whether a kind is among them.
  package func contains(_ kind: RecordKind) -> Bool { contains(RecordKinds(kind)) }
}

/// How a record's bytes are kept.
package enum RecordCodec: UInt8, Sendable, Hashable, BitwiseCopyable {
  /// As they are.
  case none = 0
  /// Inside a group of records that was compressed as one zstd frame.
  case zstdGroup = 1
}
