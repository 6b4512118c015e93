internal import BLAKE3
public import Castore
internal import Glibc
internal import Platform

/// What looking through a store has found.
public struct StoreVerification: Sendable {
  /// Blobs in the index.
  public internal(set) var blobs: UInt64 = 0
  /// Bytes of all blobs.
  public internal(set) var blobBytes: UInt64 = 0
  /// Directories in the index.
  public internal(set) var directories: UInt64 = 0
  /// Named roots.
  public internal(set) var roots: UInt64 = 0
  /// Everything that is wrong.
  public internal(set) var problems: UInt64 = 0
}

extension LocalStore {
  /// Looks through the whole store.
  ///
  /// Each blob and directory: is its record valid, its file there and as long as recorded; and, where
  /// asked for, are its bytes those of its digest. Each root: is everything below it there, and as long
  /// as the directories say.
  ///
  /// - Parameters:
  ///   - rehash: Whether to read and hash everything.
  ///   - progress: Told how many more bytes were hashed.
  ///   - report: Called with every problem.
  /// - Throws: Only what keeps the search from going on; problems are reported.
  /// - Complexity: O(objects) lookups; 32 bytes of memory for each directory below a root, no more.
  public func verify(
    rehash: Bool = false,
    progress: (Int) -> Void = { _ in },
    report: (ServiceError) -> Void
  ) throws(ServiceError) -> StoreVerification {
    var result = StoreVerification()
    try verifyBlobs(&result, rehash: rehash, progress: progress, report: report)
    try verifyDirectories(&result, rehash: rehash, report: report)
    try verifyRoots(&result, report: report)
    return result
  }

  private func verifyBlobs(
    _ result: inout StoreVerification,
    rehash: Bool,
    progress: (Int) -> Void,
    report: (ServiceError) -> Void
  ) throws(ServiceError) {
    var place: B3Digest?
    while true {
      // Files are looked at after the view of the index is closed: hashing them takes long.
      var files: [(digest: B3Digest, size: UInt64)] = []
      var last: B3Digest?
      var bytesSeen = 0
      try core.index.read { (reader) throws(ServiceError) in
        try reader.forEach(.blobs, after: place?.bytes) { (key, value) throws(ServiceError) in
          guard let digest = self.digest(key, &result, report) else { return true }
          last = digest
          result.blobs += 1
          switch BlobRecord(value) {
          case nil:
            result.problems += 1
            report(
              ServiceError(
                .corrupt,
                "the index of \(self.path) holds no valid record for blob \(digest)"
              )
            )
          case .file(let size):
            result.blobBytes = result.blobBytes &+ size
            files.append((digest, size))
          case .inline(let bytes):
            result.blobBytes = result.blobBytes &+ UInt64(bytes.count)
            if rehash {
              self.collect(&result, report) { () throws(ServiceError) in
                try self.core.verify(bytes, digest)
              }
              progress(bytes.count)
            }
          }
          bytesSeen += value.count
          return files.count < 1024 && bytesSeen < 16 << 20
        }
      }
      for (digest, size) in files {
        collect(&result, report) { () throws(ServiceError) in
          let file = try core.openBlobFile(digest, size: size)
          if rehash { try core.verifyBlobFile(file, digest) }
        }
        if rehash { progress(Int(clamping: size)) }
      }
      guard let last else { return }
      place = last
    }
  }

  private func verifyDirectories(
    _ result: inout StoreVerification,
    rehash: Bool,
    report: (ServiceError) -> Void
  ) throws(ServiceError) {
    try core.forEachPage(.directories) { (key, value) throws(ServiceError) in
      guard let digest = self.digest(key, &result, report) else { return }
      result.directories += 1
      self.collect(&result, report) { () throws(ServiceError) in
        if rehash { try self.core.verify(value, digest) }
        do throws(DirectoryError) {
          _ = try DirectoryIndex(canonicalEncoding: value)
        } catch {
          throw ServiceError.corruptDirectory(digest, error)
        }
      }
    }
  }

  private func verifyRoots(
    _ result: inout StoreVerification,
    report: (ServiceError) -> Void
  ) throws(ServiceError) {
    // Directories are the same wherever they stand, so each is looked at once.
    var seen: Set<B3Digest> = []
    // Names and nodes first, their trees after the view of the index is closed.
    var open: [B3Digest] = []
    try core.forEachPage(.roots) { (key, value) throws(ServiceError) in
      result.roots += 1
      var node: Node?
      let name = escaped([UInt8](key))
      self.collect(&result, report) { () throws(ServiceError) in
        node = try self.decodeRoot(key, value).node
      }
      guard let node else { return }
      self.verifyNode(node, "root \(name)", &open, &seen, &result, report)
    }
    while let digest = open.popLast() {
      verifyEntries(of: digest, &open, &seen, &result, report)
    }
  }

  private func verifyEntries(
    of digest: B3Digest,
    _ open: inout [B3Digest],
    _ seen: inout Set<B3Digest>,
    _ result: inout StoreVerification,
    _ report: (ServiceError) -> Void
  ) {
    let directory: Directory?
    do throws(ServiceError) {
      directory = try directoryLocal(digest)
    } catch {
      // Reported with the directories already.
      return
    }
    for entry in directory?.entries ?? [] {
      verifyNode(
        entry.node,
        "\(entry.name) in directory \(digest)",
        &open,
        &seen,
        &result,
        report
      )
    }
  }

  private func verifyNode(
    _ node: Node,
    _ place: @autoclosure () -> String,
    _ open: inout [B3Digest],
    _ seen: inout Set<B3Digest>,
    _ result: inout StoreVerification,
    _ report: (ServiceError) -> Void
  ) {
    collect(&result, report) { () throws(ServiceError) in
      switch node {
      case .symlink:
        break
      case .file(let digest, let size, _):
        guard let found = try blobSize(digest) else {
          throw ServiceError(.notFound, "\(place()): blob \(digest) is missing")
        }
        if found != size {
          throw ServiceError(
            .corrupt,
            "\(place()): blob \(digest) has \(found) bytes, but should have \(size)"
          )
        }
      case .directory(let digest, let size):
        let isNew = seen.insert(digest).inserted
        guard let directory = try directoryLocal(digest) else {
          throw ServiceError(.notFound, "\(place()): directory \(digest) is missing")
        }
        if isNew { open.append(digest) }
        if !directory.accepts(statedSize: size) {
          throw ServiceError(
            .corrupt,
            "\(place()): directory \(digest) does not have the stated size \(size)"
          )
        }
      }
    }
  }

  private func digest(
    _ key: UnsafeRawBufferPointer,
    _ result: inout StoreVerification,
    _ report: (ServiceError) -> Void
  ) -> B3Digest? {
    do throws(B3DigestError) {
      return try B3Digest(bytes: key)
    } catch {
      result.problems += 1
      report(ServiceError(.corrupt, "the index of \(path) holds a key that is no digest: \(error)"))
      return nil
    }
  }

  private func collect(
    _ result: inout StoreVerification,
    _ report: (ServiceError) -> Void,
    _ body: () throws(ServiceError) -> Void
  ) {
    do throws(ServiceError) {
      try body()
    } catch {
      result.problems += 1
      report(error)
    }
  }
}
