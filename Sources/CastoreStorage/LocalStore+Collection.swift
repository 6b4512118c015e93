public import Castore
internal import Glibc
internal import Platform

/// What a collection has removed, or would.
public struct StoreCollection: Sendable {
  /// Blobs that something refers to.
  public internal(set) var keptBlobs: UInt64 = 0
  /// Directories that something refers to.
  public internal(set) var keptDirectories: UInt64 = 0
  /// Blobs that nothing refers to.
  public internal(set) var blobs: UInt64 = 0
  /// Directories that nothing refers to.
  public internal(set) var directories: UInt64 = 0
  /// Bytes of these blobs.
  public internal(set) var blobBytes: UInt64 = 0
  /// Blob files that went, or would: those of such blobs, and those that a crash left unnamed.
  public internal(set) var files: UInt64 = 0
  /// What these files take on the disk, in bytes.
  public internal(set) var fileBytes: UInt64 = 0
}

extension LocalStore {
  /// Removes what no named root and no path info refers to.
  ///
  /// The index changes in one transaction, so that a crash leaves either all or nothing of it; files go
  /// afterwards. Readers go on; in a mount, what is removed and not in the kernel's caches is `EIO`, also
  /// in files that are open, which the kernel may not have told us of. Writers wait. The index's file does
  /// not shrink; its pages are used again. Blocks.
  ///
  /// - Parameters:
  ///   - dryRun: Whether only to count.
  ///   - waits: Whether to wait for those who may be writing: anyone who has a `StoreWriter`, or opened
  ///     the store with `create`, this object too.
  ///   - pathInfoNode: Reads the node out of a record of the path info table.
  /// - Throws: `.unavailable` where somebody may be writing; `.corrupt` or `.notFound` where a directory
  ///   that is referred to cannot be read, since what it needs is not known then. Nothing is removed.
  /// - Complexity: O(objects) lookups; 32 bytes of memory for each object, and as much again for hashing.
  public func collectGarbage(
    dryRun: Bool = false,
    waits: Bool = false,
    pathInfoNode: (_ key: [UInt8], _ value: [UInt8]) throws(ServiceError) -> Node
  ) throws(ServiceError) -> StoreCollection {
    if dryRun {
      var sweep = try core.index.read { (reader) throws(ServiceError) in
        try self.mark(in: reader, pathInfoNode)
      }
      try sweepFiles(&sweep, dryRun: true)
      return sweep.result
    }
    let lease = try core.excludeWriters(waits: waits)
    // Until the files are gone, too: a new writer could bring one back.
    defer { withExtendedLifetime(lease) {} }
    var sweep = try core.index.write { (writer) throws(ServiceError) in
      let sweep = try self.mark(in: writer.reader, pathInfoNode)
      try self.removeDead(sweep, in: writer)
      return sweep
    }
    try sweepFiles(&sweep, dryRun: false)
    return sweep.result
  }

  private func mark(
    in reader: borrowing IndexReader,
    _ pathInfoNode: (_ key: [UInt8], _ value: [UInt8]) throws(ServiceError) -> Node
  ) throws(ServiceError) -> Sweep {
    var marks = Marks()
    try reader.forEach(.roots, after: nil) { (key, value) throws(ServiceError) in
      let root = try self.decodeRoot(key, value)
      marks.add(root.node)
      try self.markDirectories(&marks, "root \(root.name)", in: reader)
      return true
    }
    try reader.forEach(.pathInfos, after: nil) { (key, value) throws(ServiceError) in
      marks.add(try pathInfoNode([UInt8](key), [UInt8](value)))
      try self.markDirectories(&marks, "a path info", in: reader)
      return true
    }
    var sweep = Sweep(marks: marks)
    try reader.forEach(.directories, after: nil) { (key, _) throws(ServiceError) in
      let digest = try self.digest(key)
      if marks.directories.contains(digest) {
        sweep.result.keptDirectories += 1
      } else {
        sweep.directories.append(digest)
      }
      return true
    }
    try reader.forEach(.blobs, after: nil) { (key, value) throws(ServiceError) in
      let digest = try self.digest(key)
      let record = BlobRecord(value)
      if marks.blobs.contains(digest) {
        sweep.result.keptBlobs += 1
        if case .file(let size) = record { sweep.keptSizes.insert(size) }
      } else {
        sweep.blobs.append(digest)
        sweep.result.blobBytes = sweep.result.blobBytes &+ (record?.size ?? 0)
      }
      return true
    }
    sweep.result.blobs = UInt64(sweep.blobs.count)
    sweep.result.directories = UInt64(sweep.directories.count)
    return sweep
  }

  private func markDirectories(
    _ marks: inout Marks,
    _ whose: String,
    in reader: borrowing IndexReader
  ) throws(ServiceError) {
    while let digest = marks.open.popLast() {
      try digest.withUnsafeBytes { (key) throws(ServiceError) in
        try reader.withValue(.directories, key) { (value) throws(ServiceError) in
          guard let value else {
            throw ServiceError(
              .notFound,
              "\(whose) needs directory \(digest), which the store \(self.path) does not hold"
            )
          }
          let directory: DirectoryIndex
          do throws(DirectoryError) {
            directory = try DirectoryIndex(canonicalEncoding: value)
          } catch {
            throw ServiceError.corruptDirectory(digest, error)
          }
          for position in 0..<directory.count {
            marks.add(directory.entry(at: position).namedNode.node)
          }
        }
      }
    }
  }

  private func removeDead(
    _ sweep: Sweep,
    in writer: borrowing IndexWriter
  ) throws(ServiceError) {
    for (table, digests) in [(IndexTable.blobs, sweep.blobs), (.directories, sweep.directories)] {
      for (number, digest) in digests.enumerated() {
        if number % 256 == 255 { core.index.releasePages() }
        try digest.withUnsafeBytes { (key) throws(ServiceError) in
          _ = try writer.remove(table, key)
        }
      }
    }
    var dead: [[UInt8]] = []
    try writer.reader.forEach(.largeSizes, after: nil) { (key, _) throws(ServiceError) in
      let size = key.count == 8 ? UInt64(bigEndian: key.loadUnaligned(as: UInt64.self)) : nil
      if size.map({ sweep.keptSizes.contains($0) }) != true { dead.append([UInt8](key)) }
      return true
    }
    for key in dead {
      try key.span.bytes.withUnsafeBytes { (key) throws(ServiceError) in
        _ = try writer.remove(.largeSizes, key)
      }
    }
  }

  /// Removes the files of all blobs but those that are kept; what is not named like one stays.
  private func sweepFiles(_ sweep: inout Sweep, dryRun: Bool) throws(ServiceError) {
    for index in 0..<256 {
      let folderName = BlobFileName.folderName(index)
      let folderPath = "\(path)/\(StoreLayout.blobsName)/\(folderName)"
      let number = openat(
        core.blobs.number,
        folderName,
        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
      )
      if number == -1 {
        if errno == ENOENT { continue }
        throw ServiceError.system(.current, "open \(folderPath)")
      }
      let folder = OwnedDescriptor(adopting: number)
      let names: [[UInt8]]
      do throws(Errno) {
        names = try FolderListing.names(in: folder)
      } catch {
        throw ServiceError.system(error, "list \(folderPath)")
      }
      for bytes in names {
        guard let digest = BlobFileName.digest(ofName: bytes, inFolder: index),
          !sweep.marks.blobs.contains(digest)
        else { continue }
        let name = String(decoding: bytes, as: UTF8.self)
        var status = stat()
        if fstatat(folder.number, name, &status, AT_SYMLINK_NOFOLLOW) != 0 { continue }
        if !dryRun && unlinkat(folder.number, name, 0) != 0 && errno != ENOENT {
          throw ServiceError.system(.current, "remove \(folderPath)/\(name)")
        }
        sweep.result.files += 1
        sweep.result.fileBytes += UInt64(clamping: status.st_blocks) * 512
      }
    }
  }

  private func digest(_ key: UnsafeRawBufferPointer) throws(ServiceError) -> B3Digest {
    do throws(B3DigestError) {
      return try B3Digest(bytes: key)
    } catch {
      throw ServiceError(.corrupt, "the index of \(path) holds a key that is no digest: \(error)")
    }
  }
}

/// What is referred to.
private struct Marks {
  var blobs: Set<B3Digest> = []
  var directories: Set<B3Digest> = []
  /// Directories that were not looked into yet.
  var open: [B3Digest] = []

  mutating func add(_ node: Node) {
    switch node {
    case .symlink: break
    case .file(let digest, _, _): blobs.insert(digest)
    case .directory(let digest, _):
      if directories.insert(digest).inserted { open.append(digest) }
    }
  }
}

/// What is to go.
private struct Sweep {
  let marks: Marks
  var blobs: [B3Digest] = []
  var directories: [B3Digest] = []
  /// Lengths of the kept blobs that have files.
  var keptSizes: Set<UInt64> = []
  var result = StoreCollection()

  init(marks: Marks) {
    self.marks = marks
  }
}
