public import Castore
internal import Glibc
public import NixCompat
internal import Platform

/// Writes trees of services at hand as NARs.
///
/// Several threads read while another writes, a few buffers ahead; memory is bounded, whatever the tree.
/// Errors name the path inside the tree: `.notFound` where a blob or directory is missing, `.corrupt`
/// where a blob is not as long as its node says.
public struct NARRenderer: Sendable {
  private let blobs: any LocalBlobAccess
  private let directories: any LocalDirectoryAccess

  /// Renders from services that hold all of the trees.
  public init(blobs: any LocalBlobAccess, directories: any LocalDirectoryAccess) {
    self.blobs = blobs
    self.directories = directories
  }

  /// Writes a tree to a sink. Blocks.
  ///
  /// - Returns: How many bytes the NAR has.
  @discardableResult
  public func render<Sink: ByteSink & ~Copyable>(
    _ node: Node,
    to sink: inout Sink
  ) throws(ServiceError) -> UInt64 {
    try pipeline(node, fileThreshold: .max).run { (piece) throws(ServiceError) in
      guard case .bytes(let bytes) = piece else {
        preconditionFailure("no blob is long enough to be given as a file")
      }
      do {
        try sink.write(bytes)
      } catch {
        throw ServiceError(.io, "cannot write the NAR", cause: error)
      }
    }
  }

  /// Writes a tree to an open file, pipe or socket. Blocks. Large blobs go there without passing through
  /// this process, where the system can do that.
  ///
  /// - Returns: How many bytes the NAR has.
  @discardableResult
  public func render(
    _ node: Node,
    toDescriptor number: CInt
  ) throws(ServiceError) -> UInt64 {
    let output = DescriptorOutput(number: number)
    output.widen()
    return try pipeline(node, fileThreshold: 256 << 10).run { (piece) throws(ServiceError) in
      switch piece {
      case .bytes(let bytes): try output.write(bytes)
      case .file(let file, let size): try output.copy(file.descriptor, size: size)
      }
    }
  }

  private func pipeline(_ node: Node, fileThreshold: UInt64) -> NARPipeline {
    NARPipeline(
      NARPlanner(node, directories: directories, fileThreshold: fileThreshold),
      NARFiller(node: node, blobs: blobs, directories: directories)
    )
  }

  /// Writes the bytes of a blob to a sink, as they are. Blocks.
  public func copyBlob<Sink: ByteSink & ~Copyable>(
    _ digest: B3Digest,
    size: UInt64,
    to sink: inout Sink
  ) throws(ServiceError) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)
    defer { buffer.deallocate() }
    var offset: UInt64 = 0
    while offset < size {
      guard let count = try blobs.readLocal(digest, at: offset, into: buffer) else {
        throw .blobNotFound(digest)
      }
      let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
      offset += UInt64(count)
      if count == 0 || offset > size {
        throw ServiceError(.corrupt, "blob \(digest) has \(offset) bytes or more, not \(size)")
      }
      do {
        try sink.write(bytes)
      } catch {
        throw ServiceError(.io, "cannot write a blob", cause: error)
      }
    }
  }

  /// Computes the size and hash of a tree's NAR. Blocks.
  public func summarize(_ node: Node) throws(ServiceError) -> NARSummary {
    var sink = SHA256Sink()
    try render(node, to: &sink)
    return NARSummary(size: sink.hasher.byteCount, sha256: sink.hasher.finalize())
  }
}

/// The size and hash of a NAR.
public struct NARSummary: Hashable, Sendable {
  /// How many bytes it has.
  public var size: UInt64
  /// Its SHA-256.
  public var sha256: SHA256Digest

  /// Joins both.
  public init(size: UInt64, sha256: SHA256Digest) {
    self.size = size
    self.sha256 = sha256
  }
}

/// A sink that keeps nothing but a hash of what is written to it.
public struct NixHashSink: ByteSink, Sendable {
  /// The hasher that was fed all bytes.
  public private(set) var hasher: NixHasher

  /// Starts empty.
  public init(_ algorithm: HashAlgorithm) {
    hasher = NixHasher(algorithm)
  }

  /// Hashes bytes.
  public mutating func write(_ bytes: UnsafeRawBufferPointer) {
    hasher.update(bytes)
  }
}
