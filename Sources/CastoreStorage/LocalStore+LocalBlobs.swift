public import Castore
internal import Glibc
public import Platform

extension LocalStore: LocalBlobAccess {
  /// A local store asks nobody else.
  public var isComplete: Bool { true }

  /// See `LocalBlobAccess`.
  public func holdsLocal(_ digest: B3Digest) throws(ServiceError) -> Bool {
    try core.contains(.blobs, digest)
  }

  /// See `LocalBlobAccess`.
  public func readLocal(
    _ digest: B3Digest,
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(ServiceError) -> Int? {
    if let blob = openBlobs.blob(digest) {
      return try read(digest, blob, at: offset, into: buffer)
    }
    switch try lookUp(digest, at: offset, into: buffer) {
    case .missing: return nil
    case .copied(let count): return count
    case .file(let size):
      let blob = try open(digest, size: size)
      openBlobs.insert(digest, blob)
      return try read(digest, blob, at: offset, into: buffer)
    }
  }

  /// See `LocalBlobAccess`. Lends blobs that have a file of their own.
  public func withFileLocal(
    _ digest: B3Digest,
    _ body: (LocalFileExtent) -> Void
  ) throws(ServiceError) -> Bool {
    guard let blob = try openBlob(digest) else { return false }
    // The number is only good while somebody holds the file, whatever becomes of the cache meanwhile.
    withExtendedLifetime(blob) {
      body(LocalFileExtent(descriptor: blob.file.number, offset: 0, size: blob.size))
    }
    return true
  }

  /// See `LocalBlobAccess`.
  public func releaseDescriptors() { openBlobs.removeAll() }

  // The open file of a blob; `nil` where it has none.
  private func openBlob(_ digest: B3Digest) throws(ServiceError) -> OpenBlob? {
    if let blob = openBlobs.blob(digest) { return blob }
    let size = try core.withBlobRecord(digest) { (record) throws(ServiceError) -> UInt64? in
      if case .file(let size) = record { return size }
      return nil
    }
    guard let size else { return nil }
    let blob = try open(digest, size: size)
    openBlobs.insert(digest, blob)
    return blob
  }

  /// See `LocalBlobAccess`.
  public func openLocalFile(_ digest: B3Digest) throws(ServiceError) -> OwnedDescriptor? {
    let size = try core.withBlobRecord(digest) { (record) throws(ServiceError) -> UInt64? in
      if case .file(let size) = record { return size }
      return nil
    }
    guard let size else { return nil }
    let file = try core.openBlobFile(digest, size: size)
    if verifiesReads { try core.verifyBlobFile(file, digest) }
    return file
  }

  /// The length of a blob; `nil` where there is none of that digest.
  public func sizeLocal(_ digest: B3Digest) throws(ServiceError) -> UInt64? {
    try core.withBlobRecord(digest) { (record) throws(ServiceError) in record?.size }
  }

  /// See `LocalBlobAccess`. Lends what lies in the index.
  public func withBytesLocal(
    _ digest: B3Digest,
    _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(ServiceError) -> Bool {
    try core.withBlobRecord(digest) { (record) throws(ServiceError) in
      guard case .inline(let bytes) = record else { return false }
      if self.verifiesReads { try self.core.verify(bytes, digest) }
      body(bytes)
      return true
    }
  }

  /// Opens a blob's file.
  func open(_ digest: B3Digest, size: UInt64) throws(ServiceError) -> OpenBlob {
    let file = try core.openBlobFile(digest, size: size)
    if verifiesReads { try core.verifyBlobFile(file, digest) }
    return OpenBlob(file: file, size: size)
  }

  /// Reads from a blob's file; a file that has become shorter since it was opened is damage.
  func read(
    _ digest: B3Digest,
    _ blob: OpenBlob,
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(ServiceError) -> Int {
    guard offset < blob.size else { return 0 }
    let wanted = min(UInt64(buffer.count), blob.size - offset)
    let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(wanted)])
    let count: Int
    do throws(Errno) {
      count = try FileIO.read(blob.file.number, at: offset, into: part)
    } catch {
      throw ServiceError.system(error, "read \(core.blobPath(digest))")
    }
    if count < part.count {
      throw ServiceError(
        .corrupt,
        "\(core.blobPath(digest)) ends at byte \(offset + UInt64(count)) of \(blob.size)"
      )
    }
    return count
  }

  private func lookUp(
    _ digest: B3Digest,
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(ServiceError) -> InlineRead {
    try core.withBlobValue(digest) { (value, index) throws(ServiceError) -> InlineRead in
      guard let value else { return .missing }
      if !self.verifiesReads, let count = value.readFromFile(of: index, at: offset, into: buffer) {
        return .copied(count)
      }
      switch try self.core.record(value, of: digest) {
      case .file(let size): return .file(size: size)
      case .inline(let bytes):
        if self.verifiesReads { try self.core.verify(bytes, digest) }
        guard offset < UInt64(bytes.count) else { return .copied(0) }
        // Fits: below the length of bytes in memory.
        let start = Int(offset)
        let count = min(buffer.count, bytes.count - start)
        buffer.copyMemory(
          from: UnsafeRawBufferPointer(rebasing: bytes[start..<(start + count)])
        )
        return .copied(count)
      }
    }
  }

  private enum InlineRead {
    case missing
    case copied(Int)
    case file(size: UInt64)
  }
}

extension UnsafeRawBufferPointer {
  // Shorter values lie beside their keys, in memory that the lookup has touched.
  private static let leastFileRead = 2 << 10

  /// Copies from the value of an inline blob by reading the index's file, where that is quicker than
  /// touching the map: a page fault costs more than a system call, and what it maps counts as memory.
  ///
  /// - Returns: How many bytes; `nil` where the map is to be used.
  fileprivate func readFromFile(
    of index: IndexEnvironment,
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) -> Int? {
    // Only what is read from its start on shows the tag.
    guard offset == 0, count >= Self.leastFileRead, let place = index.fileOffset(of: self) else {
      return nil
    }
    let wanted = Swift.min(buffer.count, count - 1)
    var tag: UInt8 = .max
    let got = withUnsafeMutablePointer(to: &tag) { tag in
      withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { parts in
        parts[0] = iovec(iov_base: tag, iov_len: 1)
        parts[1] = iovec(iov_base: buffer.baseAddress, iov_len: wanted)
        return preadv(index.descriptor, parts.baseAddress, 2, off_t(place))
      }
    }
    return got == wanted + 1 && tag == BlobRecord.inlineTag ? wanted : nil
  }
}
