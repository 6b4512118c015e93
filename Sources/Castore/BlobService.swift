public import Platform

/// A store of blobs: byte strings named by their BLAKE3 digest.
///
/// A missing blob is `nil`, never an error. Errors are `ServiceError`. Safe to use from any task.
public protocol BlobService: Sendable {
  /// Says whether a blob (or a chunk of one, where the service hands out chunks) is there.
  func has(_ digest: B3Digest) async throws(ServiceError) -> Bool

  /// Opens a blob for reading at any offset; `nil` where there is none of that digest.
  func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)?

  /// Starts a new blob. Nothing of it is visible to anybody before the writer is closed.
  func openWrite() async throws(ServiceError) -> any BlobWriter

  /// The chunks that a blob consists of, in order.
  ///
  /// - Returns: `nil` for an unknown blob, `[]` for one that is not divided any further.
  func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]?
}

/// An open blob. Safe to use from any task, also from several at once.
public protocol BlobReader: Sendable {
  /// The blob's length in bytes.
  var size: UInt64 { get }

  /// How many bytes of memory the reader may hold, at most, for as long as it is kept.
  var memoryBound: Int { get }

  /// Reads bytes, starting at an offset.
  ///
  /// - Returns: At most `count` bytes; fewer only at the end of the blob, none at or past it.
  func read(at offset: UInt64, count: Int) async throws(ServiceError) -> [UInt8]

  /// The range around an offset that comes at one go: reading any byte of it costs all of it, and nothing else.
  ///
  /// Ranges meet: one begins where another ends. By default a MiB each.
  /// - Returns: `nil` where the blob can only be read in order without waste.
  func part(around offset: UInt64) -> Range<UInt64>?

  /// Reads such a range, all of it; nothing is read ahead, and nothing kept.
  func read(part: Range<UInt64>) async throws(ServiceError) -> [UInt8]
}

extension BlobReader {
  /// A MiB, aligned.
  public func part(around offset: UInt64) -> Range<UInt64>? {
    let start = offset & ~((1 << 20) - 1)
    return start..<max(start, min(size, start.addingReportingOverflow(1 << 20).partialValue))
  }

  /// Reads with `read(at:count:)`.
  public func read(part: Range<UInt64>) async throws(ServiceError) -> [UInt8] {
    var bytes: [UInt8] = []
    while UInt64(bytes.count) < part.upperBound - part.lowerBound {
      let offset = part.lowerBound + UInt64(bytes.count)
      let more = try await read(at: offset, count: Int(part.upperBound - offset))
      if more.isEmpty {
        throw ServiceError(.corrupt, "a blob ends at \(offset) of \(size) bytes")
      }
      if bytes.isEmpty { bytes = more } else { bytes += more }
    }
    return bytes
  }
}

extension BlobReader {
  /// Little: for readers that keep nothing of what they read.
  public var memoryBound: Int { 4096 }
}

/// A blob being written, by one task at a time.
public protocol BlobWriter: Sendable {
  /// Appends bytes.
  func write(_ bytes: [UInt8]) async throws(ServiceError)

  /// Ends the blob, makes it durable and visible, and names it.
  ///
  /// Closing again does nothing and returns the same digest, or throws the same error.
  func close() async throws(ServiceError) -> B3Digest

  /// Drops everything that was written. Does nothing after `close`. Also happens when the writer is let go of.
  func abandon() async
}

/// One chunk of a blob.
public struct ChunkMeta: Hashable, Sendable {
  /// The BLAKE3 digest of the chunk's bytes.
  public var digest: B3Digest
  /// The chunk's length in bytes.
  public var size: UInt64

  /// Describes a chunk.
  public init(digest: B3Digest, size: UInt64) {
    self.digest = digest
    self.size = size
  }
}

/// Blobs that lie on this machine and can be read without waiting for anybody.
///
/// Offered beside `BlobService` by a service whose blobs are at hand. Every call may block on the local
/// disk, never on the network, and is safe from any thread.
public protocol LocalBlobAccess: Sendable {
  /// Whether this is all there is: a blob that is not held here exists nowhere else.
  ///
  /// Where it is false, what is not here may still be had through `BlobService`.
  var isComplete: Bool { get }

  /// Says whether a blob is held here.
  func holdsLocal(_ digest: B3Digest) throws(ServiceError) -> Bool

  /// The length of a blob in bytes; `nil` where it is not held here.
  func sizeLocal(_ digest: B3Digest) throws(ServiceError) -> UInt64?

  /// Lends a whole blob to `body`, if it lies in memory or in a map of a file.
  ///
  /// The bytes are gone when `body` returns. Touching them may block on the disk, and where the disk
  /// fails it ends the process: hand them to a system call, which fails instead.
  /// - Returns: Whether `body` was called. Where not, `readLocal` is the way.
  func withBytesLocal(
    _ digest: B3Digest,
    _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(ServiceError) -> Bool

  /// Reads bytes of a blob, starting at an offset.
  ///
  /// - Parameters:
  ///   - digest: The blob's BLAKE3 digest.
  ///   - offset: Where to begin, in bytes. At or past the end nothing is read.
  ///   - buffer: Where the bytes go.
  /// - Returns: How many bytes of `buffer` were filled; fewer than its size only at the end of the
  ///   blob. `nil` where no such blob is held locally.
  /// - Complexity: One index lookup, then O(bytes read).
  func readLocal(
    _ digest: B3Digest,
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(ServiceError) -> Int?

  /// Opens the plain file that holds exactly the blob's bytes, for reading.
  ///
  /// What is read from it is not checked: `verifyLocal` does so beforehand, as far as it can be done.
  ///
  /// - Returns: `nil` where the blob is missing, or has no file of its own.
  func openLocalFile(_ digest: B3Digest) throws(ServiceError) -> OwnedDescriptor?

  /// Checks all of a blob, what was not checked yet, as far as the service checks what it reads.
  ///
  /// - Returns: Whether it is held here.
  /// - Throws: `.corrupt` where its bytes are not those of its digest.
  func verifyLocal(_ digest: B3Digest) throws(ServiceError) -> Bool

  /// Lends an open file that holds the blob's bytes in one piece, among others perhaps.
  ///
  /// The descriptor is gone when `body` returns: hand it to a system call.
  ///
  /// - Parameter range: Which bytes of the blob are to be read from the file: they were checked, as far as the
  ///   service checks what it reads.
  /// - Returns: Whether `body` was called. Where not, `readLocal` is the way.
  func withFileLocal(
    _ digest: B3Digest,
    reading range: Range<UInt64>,
    _ body: (LocalFileExtent) -> Void
  ) throws(ServiceError) -> Bool

  /// Closes what is open only because it may be used again: the process is short of descriptors.
  func releaseDescriptors()
}

extension LocalBlobAccess {
  /// Takes what is held as whole.
  public func verifyLocal(_ digest: B3Digest) throws(ServiceError) -> Bool {
    try holdsLocal(digest)
  }

  /// Lends nothing.
  public func withFileLocal(
    _ digest: B3Digest,
    reading range: Range<UInt64>,
    _ body: (LocalFileExtent) -> Void
  ) throws(ServiceError) -> Bool {
    false
  }

  /// Holds none.
  public func releaseDescriptors() {}
}

/// Where in an open file the bytes of a blob lie.
public struct LocalFileExtent: Hashable, Sendable {
  /// The file, open for reading.
  public var descriptor: CInt
  /// Where the blob begins.
  public var offset: UInt64
  /// The blob's length in bytes.
  public var size: UInt64

  /// Describes a part of a file.
  public init(descriptor: CInt, offset: UInt64, size: UInt64) {
    self.descriptor = descriptor
    self.offset = offset
    self.size = size
  }
}
