internal import Castore
internal import Packs

/// What the threads that feed a `StoreWriter` share, behind one lock.
struct WriterState {
  /// The packs that are being written; `nil` once the writer has ended.
  var packs: PackWriter?
  /// Complete files of large blobs, whose records go into the current pack when they have their names.
  var files: [LargeFile] = []
  var fileBytes: UInt64 = 0
  /// What was put and is not sealed, so that nobody finds it in the store yet.
  var pending: Set<HeldObject> = []
  /// The first thing that went wrong. Nothing is accepted after it.
  var failure: ServiceError?

  struct LargeFile {
    var digest: B3Digest
    var file: NewBlobFile
    /// The record: the size and the outboard.
    var record: [UInt8]
  }

  /// How many files may wait for their names.
  static let fileLimit = 256
  /// How many bytes these files may have together, so that little is lost on a crash.
  static let fileByteLimit: UInt64 = 512 << 20

  init(_ packs: PackWriter) {
    self.packs = packs
  }

  mutating func fail(_ error: ServiceError) {
    if failure == nil { failure = error }
  }
}
