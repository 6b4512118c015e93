internal import BLAKE3
public import Castore
internal import Glibc
public import Platform

extension StoreWriter {
  /// See `TreeSink`.
  ///
  /// A file longer than `inMemoryLimit` is read once and written as it is read. Only if it is very long, and
  /// the store has a blob of just that length, is it hashed first, and copied only if it is another one.
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
        let digest = try putBlob(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]))
        progress(count)
        return (digest, UInt64(count))
      }
    }
    posix_fadvise(number, 0, 0, POSIX_FADV_SEQUENTIAL)
    if size >= Self.leastHashedFirst, try knownSizes.contain(size) {
      let outboard = try hash(file, progress)
      let object = HeldObject(digest: B3Digest(outboard.digest), kind: .blob)
      if try isKnown(object) { return (object.digest, outboard.size) }
      return try copyBlob(from: file, progress: { _ in })
    }
    return try copyBlob(from: file, progress: progress)
  }

  // Below, a copy that turns out to be of no use costs less than hashing twice.
  private static let leastHashedFirst: UInt64 = 32 << 20

  private func copyBlob(
    from source: borrowing OwnedDescriptor,
    progress: (Int) -> Void
  ) throws(ServiceError) -> (digest: B3Digest, size: UInt64) {
    let new = try failing { () throws(ServiceError) in
      try NewBlobFile(in: session, access: core.options.access)
    }
    if new.clone(source) { return try finish(new, try hash(new.file, progress)) }
    let number = source.number
    return try stream(into: new) { (buffer, offset) throws(ServiceError) in
      let count: Int
      do throws(Errno) {
        count = try FileIO.read(number, at: offset, into: buffer)
      } catch {
        throw ServiceError.system(error, "read a file")
      }
      progress(count)
      return count
    }
  }

  /// Writes a new file, and hashes it on the way.
  ///
  /// - Parameter source: Fills the buffer with what comes at an offset; short only at the end.
  func stream(
    into new: NewBlobFile,
    from source: (
      UnsafeMutableRawBufferPointer, UInt64
    ) throws(ServiceError) -> Int
  ) throws(ServiceError) -> (digest: B3Digest, size: UInt64) {
    let buffer = HeapBytes(count: 1 << 20)
    var hasher = BLAKE3.OutboardHasher()
    while true {
      try throwFailure()
      let count = try source(buffer.bytes, new.size)
      let bytes = UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count])
      hasher.update(bytes)
      try failing { () throws(ServiceError) in try new.append(bytes) }
      if count < buffer.bytes.count { break }
    }
    return try finish(new, hasher.finalize())
  }

  /// Stores a file that is complete, unless the blob is there already.
  private func finish(
    _ new: NewBlobFile,
    _ outboard: consuming BLAKE3.Outboard
  ) throws(ServiceError) -> (digest: B3Digest, size: UInt64) {
    let object = HeldObject(digest: B3Digest(outboard.digest), kind: .blob)
    let size = outboard.size
    if size <= UInt64(Self.largestRecord) {
      // It came in pieces, or shrank meanwhile: what is small lies in a pack, so that equal blobs have one
      // kind of place.
      return (try putBlob(contentsOf: new), size)
    }
    if try isKnown(object) { return (object.digest, size) }
    new.startWriteback()
    try add(new, outboard)
    return (object.digest, size)
  }

  func putBlob(contentsOf new: NewBlobFile) throws(ServiceError) -> B3Digest {
    let buffer = HeapBytes(count: Self.largestRecord)
    let count: Int
    do throws(Errno) {
      count = try FileIO.read(new.file.number, at: 0, into: buffer.bytes)
    } catch {
      throw ServiceError.system(error, "read \(new.path)")
    }
    return try putBlob(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]))
  }

  private func hash(
    _ file: borrowing OwnedDescriptor,
    _ progress: (Int) -> Void
  ) throws(ServiceError) -> BLAKE3.Outboard {
    let buffer = HeapBytes(count: 1 << 20)
    var hasher = BLAKE3.OutboardHasher()
    var offset: UInt64 = 0
    while true {
      try throwFailure()
      let count: Int
      do throws(Errno) {
        count = try FileIO.read(file.number, at: offset, into: buffer.bytes)
      } catch {
        throw ServiceError.system(error, "read a file")
      }
      hasher.update(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]))
      offset += UInt64(count)
      if count > 0 { progress(count) }
      if count < buffer.bytes.count { return hasher.finalize() }
    }
  }
}
