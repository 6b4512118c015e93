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

  /// Reads bytes, starting at an offset.
  ///
  /// - Returns: At most `count` bytes; fewer only at the end of the blob, none at or past it.
  func read(at offset: UInt64, count: Int) async throws(ServiceError) -> [UInt8]
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
  /// - Returns: `nil` where the blob is missing, or lies in the index and has no file of its own.
  func openLocalFile(_ digest: B3Digest) throws(ServiceError) -> OwnedDescriptor?
}
