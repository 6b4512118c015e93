internal import Castore
internal import Glibc
internal import Platform

/// Renders a NAR into buffers, from services at hand. Blocks on the disk.
struct NARProducer {
  /// What comes next in the NAR.
  enum Piece: Sendable {
    /// So many bytes at the start of the buffer.
    case bytes(Int)
    /// All bytes of a file.
    case file(BlobFile, size: UInt64)
    /// Nothing more.
    case end
  }

  /// The open file of a blob.
  final class BlobFile: Sendable {
    let descriptor: OwnedDescriptor

    init(_ descriptor: consuming OwnedDescriptor) {
      self.descriptor = descriptor
    }
  }

  private struct Blob {
    var digest: B3Digest
    var size: UInt64
    var offset: UInt64 = 0
    var isTriedAsFile = false
  }

  private let blobs: any LocalBlobAccess
  private let directories: any LocalDirectoryAccess
  private var walk: NARWalk
  private var literal: [UInt8] = []
  private var literalStart = 0
  private var blob: Blob?
  // Blobs from this length on are given as files, where they have one.
  private let fileThreshold: UInt64

  init(
    _ node: Node,
    blobs: any LocalBlobAccess,
    directories: any LocalDirectoryAccess,
    fileThreshold: UInt64 = .max
  ) {
    self.blobs = blobs
    self.directories = directories
    self.fileThreshold = fileThreshold
    walk = NARWalk(node)
    literal.reserveCapacity(72 << 10)
  }

  /// Goes on, and fills `buffer`, which has more than a page, as far as it gets.
  mutating func next(
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(ServiceError) -> Piece {
    var filled = 0
    while true {
      filled += takeLiteral(UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
      if literalStart < literal.count { return .bytes(filled) }
      literal.removeAll(keepingCapacity: true)
      literalStart = 0

      if blob != nil {
        if let file = try openFile(isFirst: filled == 0) {
          guard case .found(let file, let size) = file else { return .bytes(filled) }
          return .file(file, size: size)
        }
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
        guard let count = try takeContents(rest, isWhole: filled == 0) else {
          return .bytes(filled)
        }
        filled += count
        continue
      }
      switch try walk.next(into: &literal) {
      case .output: break
      case .contents(let digest, let size): blob = Blob(digest: digest, size: size)
      case .directory(let digest): try enter(digest)
      case .end:
        if literal.isEmpty { return filled > 0 ? .bytes(filled) : .end }
      }
    }
  }

  private mutating func takeLiteral(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
    let count = min(literal.count - literalStart, buffer.count)
    buffer.copyBytes(from: literal[literalStart..<(literalStart + count)])
    literalStart += count
    return count
  }

  private mutating func enter(_ digest: B3Digest) throws(ServiceError) {
    let directory: DirectoryIndex?
    do throws(ServiceError) {
      directory = try directories.directoryIndexLocal(digest)
    } catch {
      throw walk.missing(error)
    }
    guard let directory else { throw walk.missing(.directoryNotFound(digest)) }
    walk.enter(directory)
  }

  private enum FoundFile {
    /// There may be one; what was filled so far must go first.
    case postponed
    case found(BlobFile, size: UInt64)
  }

  /// Opens the current blob's file, where that is better than reading.
  private mutating func openFile(isFirst: Bool) throws(ServiceError) -> FoundFile? {
    guard var blob, blob.size >= fileThreshold, blob.offset == 0, !blob.isTriedAsFile else {
      return nil
    }
    if !isFirst { return .postponed }
    blob.isTriedAsFile = true
    self.blob = blob
    let opened: OwnedDescriptor?
    do throws(ServiceError) {
      opened = try blobs.openLocalFile(blob.digest)
    } catch {
      throw walk.missing(error)
    }
    guard let file = opened else { return nil }
    var status = stat()
    if fstat(file.number, &status) != 0 {
      throw walk.missing(ServiceError(.current, "cannot look at blob \(blob.digest)"))
    }
    guard let size = UInt64(exactly: status.st_size), size == blob.size else {
      throw walk.wrongLength(blob.digest, expected: blob.size, got: "\(status.st_size) bytes")
    }
    try pass(blob.size)
    return .found(BlobFile(file), size: size)
  }

  /// Reads contents of the current blob.
  ///
  /// - Returns: How many bytes; `nil` where the buffer has too little room left to be worth it.
  private mutating func takeContents(
    _ buffer: UnsafeMutableRawBufferPointer,
    isWhole: Bool
  ) throws(ServiceError) -> Int? {
    guard var blob else { return 0 }
    let remaining = blob.size - blob.offset
    // One byte more than there should be shows a blob that is too long, so the last read must have room
    // for it.
    let isLast = UInt64(buffer.count) > remaining
    if !isLast && !isWhole && buffer.count < 64 << 10 { return nil }
    var wanted = isLast ? Int(remaining) + 1 : buffer.count
    if !isLast && UInt64(wanted) == remaining { wanted -= 1 }
    let got: Int?
    do throws(ServiceError) {
      got = try blobs.readLocal(
        blob.digest,
        at: blob.offset,
        into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted])
      )
    } catch {
      throw walk.missing(error)
    }
    guard let got else { throw walk.missing(.blobNotFound(blob.digest)) }
    if isLast ? got > Int(remaining) : false {
      throw walk.wrongLength(blob.digest, expected: blob.size, got: "more bytes")
    }
    if got < (isLast ? Int(remaining) : wanted) {
      let end = blob.offset + UInt64(got)
      throw walk.wrongLength(blob.digest, expected: blob.size, got: "\(end) bytes")
    }
    blob.offset += UInt64(got)
    self.blob = blob
    if blob.offset == blob.size { try pass(blob.size) }
    return got
  }

  private mutating func pass(_ size: UInt64) throws(ServiceError) {
    blob = nil
    // The encoder counts in what memory can hold at once.
    var rest = size
    while rest > 0 {
      let count = Int(clamping: rest)
      try walk.passContents(count, into: &literal)
      rest -= UInt64(count)
    }
  }
}
