internal import BLAKE3
public import Castore
internal import Glibc
public import Platform

extension StoreWriter {
  /// See `TreeSink`.
  ///
  /// A file longer than `inMemoryLimit` is read once and written as it is read, unless the store has
  /// a blob of just that length: then it is hashed first, and copied only if it is another one.
  public func putBlob(
    from file: borrowing OwnedDescriptor,
    progress: (Int) -> Void
  ) throws(ServiceError) -> (digest: B3Digest, size: UInt64) {
    try throwFailure()
    let number = file.number
    var status = stat()
    if fstat(number, &status) != 0 { throw ServiceError.system(.current, "look at a file") }
    let size = UInt64(clamping: status.st_size)
    if size <= UInt64(inMemoryLimit) {
      // One byte more, to see a file that has grown.
      let buffer = HeapBytes(count: Int(size) + 1)
      let count: Int
      do throws(Errno) {
        count = try FileIO.read(number, at: 0, into: buffer.bytes)
      } catch {
        throw ServiceError.system(error, "read a file")
      }
      if count <= Int(size) {
        let bytes = UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count])
        let digest = try putBlob(bytes)
        progress(count)
        return (digest, UInt64(count))
      }
    }
    posix_fadvise(number, 0, 0, POSIX_FADV_SEQUENTIAL)
    let isLengthKnown =
      try core.hasLargeBlob(ofSize: size) || state.withLock { $0.isPending(size: size) }
    if isLengthKnown {
      let (digest, hashedSize) = try core.hashFile(file, path: "a file") {
        (count) throws(ServiceError) in
        try self.throwFailure()
        progress(count)
      }
      if try isKnownBlob(digest, size: hashedSize) { return (digest, hashedSize) }
      return try copyBlob(from: file, progress: { _ in })
    }
    return try copyBlob(from: file, progress: progress)
  }

  private func copyBlob(
    from source: borrowing OwnedDescriptor,
    progress: (Int) -> Void
  ) throws(ServiceError) -> (digest: B3Digest, size: UInt64) {
    let new = try failing { () throws(ServiceError) in try NewBlobFile(in: folder) }
    let digest: B3Digest
    if new.clone(source) {
      digest = try core.hashFile(new.file, path: new.path) { (count) throws(ServiceError) in
        try self.throwFailure()
        progress(count)
      }.digest
    } else {
      digest = try stream(source, to: new, progress: progress)
    }
    let size = new.size
    if size <= UInt64(BlobRecord.inlineLimit) {
      // The file shrank meanwhile: what is small lies in the index, so that equal blobs have one place.
      return (try putBlob(contentsOf: new), size)
    }
    if try !isKnownBlob(digest, size: size) { try add(new, digest) }
    return (digest, size)
  }

  private func stream(
    _ source: borrowing OwnedDescriptor,
    to new: NewBlobFile,
    progress: (Int) -> Void
  ) throws(ServiceError) -> B3Digest {
    let buffer = HeapBytes(count: 1 << 20)
    var hasher = BLAKE3.Hasher()
    let number = source.number
    while true {
      try throwFailure()
      let count: Int
      do throws(Errno) {
        count = try FileIO.read(number, at: new.size, into: buffer.bytes)
      } catch {
        throw ServiceError.system(error, "read a file")
      }
      let bytes = UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count])
      hasher.update(bytes)
      try failing { () throws(ServiceError) in try new.append(bytes) }
      if count > 0 { progress(count) }
      if count < buffer.bytes.count { return B3Digest(hasher.finalize()) }
    }
  }

  func putBlob(contentsOf new: NewBlobFile) throws(ServiceError) -> B3Digest {
    let buffer = HeapBytes(count: BlobRecord.inlineLimit)
    let count: Int
    do throws(Errno) {
      count = try FileIO.read(new.file.number, at: 0, into: buffer.bytes)
    } catch {
      throw ServiceError.system(error, "read \(new.path)")
    }
    return try putBlob(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]))
  }
}
