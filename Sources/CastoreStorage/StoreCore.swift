internal import BLAKE3
internal import CLinux
internal import Castore
internal import Glibc
internal import Platform

/// The open parts of a store, shared by its readers and writers.
final class StoreCore: Sendable {
  let path: String
  let isReadOnly: Bool
  let blobs: OwnedDescriptor

  private let root: OwnedDescriptor
  private let lease: IndexRegistry.Lease
  /// From the first writer on.
  private let writerLease = Guarded<WriterLease?>(nil)

  var index: IndexEnvironment { lease.environment }

  /// Opens a store.
  ///
  /// - Parameter create: Whether to make a store of a folder that is missing or empty.
  init(path: String, create: Bool) throws(ServiceError) {
    self.path = path
    if create { try StoreFolder.create(path) }
    let root = try StoreFolder.open(path)
    if create && !StoreLayout.isStore(root) {
      try StoreLayout.create(in: root, path: path)
    }
    try StoreLayout.check(root, path: path)
    let number = root.number
    let parts = [StoreLayout.indexName, StoreLayout.blobsName, StoreLayout.temporaryName]
    // A missing `tmp/` was tidied away by somebody: it holds nothing of value.
    isReadOnly = parts.contains { name in
      faccessat(number, name, W_OK | X_OK, AT_EACCESS) != 0 && errno != ENOENT
    }
    if !isReadOnly {
      if mkdirat(number, StoreLayout.temporaryName, 0o777) != 0 && errno != EEXIST {
        throw ServiceError.system(.current, "create \(path)/\(StoreLayout.temporaryName)")
      }
      let folder = try StoreFolder.open(StoreLayout.temporaryName, in: root, path: path)
      TemporaryFolder.sweep(folder)
    }
    blobs = try StoreFolder.open(StoreLayout.blobsName, in: root, path: path)
    lease = try IndexRegistry.open(
      path: "\(path)/\(StoreLayout.indexName)",
      isReadOnly: isReadOnly
    )
    self.root = root
  }

  /// Keeps collections from running for as long as this object lives. Waits while one runs.
  func includeWriter() throws(ServiceError) {
    try writerLease.withLock { (share) throws(ServiceError) in
      if share == nil { share = try .share(openTemporaryFolder(), path: path) }
    }
  }

  /// Keeps everybody from writing for as long as the result lives.
  func excludeWriters(waits: Bool) throws(ServiceError) -> WriterLease {
    try .exclude(openTemporaryFolder(), path: path, waits: waits)
  }

  private func openTemporaryFolder() throws(ServiceError) -> OwnedDescriptor {
    try StoreFolder.open(StoreLayout.temporaryName, in: root, path: path)
  }

  /// Makes a folder for the files of one writer.
  func makeTemporaryFolder() throws(ServiceError) -> TemporaryFolder {
    if isReadOnly {
      throw ServiceError(.permissionDenied, "the store \(path) is open for reading only")
    }
    try includeWriter()
    let parent = try openTemporaryFolder()
    return try TemporaryFolder(in: parent, path: "\(path)/\(StoreLayout.temporaryName)")
  }

  // MARK: Lookups

  /// Shows what the index says about a blob; `nil` where there is none of that digest.
  func withBlobRecord<Result>(
    _ digest: B3Digest,
    _ body: (BlobRecord?) throws(ServiceError) -> Result
  ) throws(ServiceError) -> Result {
    try index.read { (reader) throws(ServiceError) in
      try digest.withUnsafeBytes { (key) throws(ServiceError) in
        try reader.withValue(.blobs, key) { (value) throws(ServiceError) in
          guard let value else { return try body(nil) }
          return try body(try self.record(value, of: digest))
        }
      }
    }
  }

  /// Reads the value that the index has for a blob.
  func record(
    _ value: UnsafeRawBufferPointer,
    of digest: B3Digest
  ) throws(ServiceError) -> BlobRecord {
    if let record = BlobRecord(value) { return record }
    throw ServiceError(
      .corrupt,
      "the index of \(path) holds no valid record for blob \(digest)"
    )
  }

  /// Shows the value that the index has for a blob, whose bytes nobody has touched yet, and the index.
  func withBlobValue<Result>(
    _ digest: B3Digest,
    _ body: (UnsafeRawBufferPointer?, IndexEnvironment) throws(ServiceError) -> Result
  ) throws(ServiceError) -> Result {
    let index = index
    return try index.read { (reader) throws(ServiceError) in
      try digest.withUnsafeBytes { (key) throws(ServiceError) in
        try reader.withValue(.blobs, key) { (value) throws(ServiceError) in
          try body(value, index)
        }
      }
    }
  }

  /// Shows the encoding of a directory in place; `nil` where there is none of that digest.
  func withDirectoryEncoding<Result>(
    _ digest: B3Digest,
    _ body: (UnsafeRawBufferPointer?) throws(ServiceError) -> Result
  ) throws(ServiceError) -> Result {
    try index.read { (reader) throws(ServiceError) in
      try digest.withUnsafeBytes { (key) throws(ServiceError) in
        try reader.withValue(.directories, key, body)
      }
    }
  }

  /// Says whether a table has a digest.
  func contains(_ table: IndexTable, _ digest: B3Digest) throws(ServiceError) -> Bool {
    try index.read { (reader) throws(ServiceError) in
      try digest.withUnsafeBytes { (key) throws(ServiceError) in
        try reader.contains(table, key)
      }
    }
  }

  /// Says whether some blob of that length has a file.
  func hasLargeBlob(ofSize size: UInt64) throws(ServiceError) -> Bool {
    try index.read { (reader) throws(ServiceError) in
      try Self.withSizeKey(size) { (key) throws(ServiceError) in
        try reader.contains(.largeSizes, key)
      }
    }
  }

  /// Lends the key of a length in the table of lengths.
  static func withSizeKey<Result>(
    _ size: UInt64,
    _ body: (UnsafeRawBufferPointer) throws(ServiceError) -> Result
  ) throws(ServiceError) -> Result {
    try withUnsafeBytes(of: size.bigEndian) { (bytes) throws(ServiceError) in try body(bytes) }
  }

  // MARK: Files

  /// The path of a blob's file, for messages.
  func blobPath(_ digest: B3Digest) -> String {
    "\(path)/\(StoreLayout.blobsName)/\(BlobFileName.path(of: digest))"
  }

  /// Says whether a blob has a plain file of that length.
  func hasBlobFile(_ digest: B3Digest, size: UInt64) -> Bool {
    var status = stat()
    let code = BlobFileName.withPath(of: digest) { name in
      fstatat(blobs.number, name, &status, AT_SYMLINK_NOFOLLOW)
    }
    return code == 0 && status.st_mode & S_IFMT == S_IFREG
      && UInt64(exactly: status.st_size) == size
  }

  /// Opens the file of a blob and checks that it is a plain file of the recorded length.
  func openBlobFile(_ digest: B3Digest, size: UInt64) throws(ServiceError) -> OwnedDescriptor {
    let folder = blobs.number
    let number: CInt
    do throws(Errno) {
      number = try BlobFileName.withPath(of: digest) { (name) throws(Errno) in
        try retryingOnInterrupt {
          openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        }
      }
    } catch {
      var failure = ServiceError.system(error, "open \(blobPath(digest))")
      // The index knows the blob: that its file is missing is damage.
      if error.code == ENOENT { failure.code = .corrupt }
      throw failure
    }
    let file = OwnedDescriptor(adopting: number)
    var status = stat()
    if fstat(number, &status) != 0 {
      throw ServiceError.system(.current, "look at \(blobPath(digest))")
    }
    guard status.st_mode & S_IFMT == S_IFREG, UInt64(exactly: status.st_size) == size else {
      throw ServiceError(
        .corrupt,
        "\(blobPath(digest)) should be a file of \(size) bytes and is not (\(status.st_size) bytes)"
      )
    }
    return file
  }

  /// Reads a whole file and compares its digest.
  func verifyBlobFile(
    _ file: borrowing OwnedDescriptor,
    _ digest: B3Digest
  ) throws(ServiceError) {
    let found: B3Digest
    do throws(Errno) {
      found = B3Digest(try BLAKE3.hashFile(file).digest)
    } catch {
      throw ServiceError.system(error, "read \(blobPath(digest))")
    }
    if found != digest {
      throw ServiceError(
        .corrupt,
        "\(blobPath(digest)) holds other bytes than its name says: their digest is \(found)"
      )
    }
  }

  /// Throws where bytes from the index are not those of the digest.
  func verify(_ bytes: UnsafeRawBufferPointer, _ digest: B3Digest) throws(ServiceError) {
    let found = B3Digest(hashing: bytes)
    if found != digest {
      throw ServiceError(
        .corrupt,
        "the index of \(path) holds other bytes under \(digest): their digest is \(found)"
      )
    }
  }

  /// Hashes a file from its first byte to its end, with bounded memory.
  ///
  /// - Parameter progress: Told the number of every further run of bytes; throws to give up.
  func hashFile(
    _ file: borrowing OwnedDescriptor,
    path: String,
    progress: (Int) throws(ServiceError) -> Void = { _ in }
  ) throws(ServiceError) -> (digest: B3Digest, size: UInt64) {
    let buffer = HeapBytes(count: 1 << 20)
    var hasher = BLAKE3.Hasher()
    var offset: UInt64 = 0
    let number = file.number
    while true {
      let count: Int
      do throws(Errno) {
        count = try FileIO.read(number, at: offset, into: buffer.bytes)
      } catch {
        throw ServiceError.system(error, "read \(path)")
      }
      hasher.update(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]))
      offset += UInt64(count)
      if count > 0 { try progress(count) }
      if count < buffer.bytes.count { break }
    }
    return (B3Digest(hasher.finalize()), offset)
  }
}
