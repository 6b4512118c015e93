internal import Castore
internal import Glibc
internal import Platform

/// Reads the blobs of stretches of a NAR, from services at hand. Blocks on the disk.
struct NARFiller: Sendable {
  /// What became of a stretch.
  enum Piece: Sendable {
    /// So many bytes at the start of the buffer.
    case bytes(Int)
    /// All bytes of a file.
    case file(BlobFile, size: UInt64)
    /// A blob that has no file of its own, to be read piece by piece.
    case blob(NARContents)
  }

  /// The open file of a blob.
  final class BlobFile: Sendable {
    let descriptor: OwnedDescriptor

    init(_ descriptor: consuming OwnedDescriptor) {
      self.descriptor = descriptor
    }
  }

  let node: Node
  let blobs: any LocalBlobAccess
  let directories: any LocalDirectoryAccess

  /// Fills `buffer`, which has room for any stretch and one byte more.
  func fill(
    _ buffer: UnsafeMutableRawBufferPointer,
    from stretch: NARStretch
  ) throws(ServiceError) -> Piece {
    if let file = stretch.file { return try open(file) }
    var filled = 0
    for part in stretch.parts {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
      switch part {
      case .literal(let range):
        rest.copyBytes(from: stretch.literals[range])
        filled += range.count
      case .contents(let contents, let offset, let count):
        try read(contents, at: offset, count: count, into: rest)
        filled += count
      }
    }
    return .bytes(filled)
  }

  /// Reads a part of a blob. The byte after it may be overwritten.
  func read(
    _ contents: NARContents,
    at offset: UInt64,
    count: Int,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(ServiceError) {
    // One byte more than there should be shows a blob that is too long; what follows in the NAR comes
    // later, and at least a closing bracket does.
    let isLast = offset + UInt64(count) == contents.size
    let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(isLast ? count + 1 : count)])
    let got: Int?
    do throws(ServiceError) {
      got = try blobs.readLocal(contents.digest, at: offset, into: room)
    } catch {
      throw place(of: contents).missing(error)
    }
    guard let got else { throw place(of: contents).missing(.blobNotFound(contents.digest)) }
    if got == count { return }
    throw place(of: contents).wrongLength(
      contents.digest,
      expected: contents.size,
      got: got > count ? "more bytes" : "\(offset + UInt64(got)) bytes"
    )
  }

  private func open(_ contents: NARContents) throws(ServiceError) -> Piece {
    let opened: OwnedDescriptor?
    do throws(ServiceError) {
      // What the kernel reads from a file nobody looks at: it is checked before.
      _ = try blobs.verifyLocal(contents.digest)
      opened = try blobs.openLocalFile(contents.digest)
    } catch {
      throw place(of: contents).missing(error)
    }
    guard let file = opened else { return .blob(contents) }
    var status = stat()
    if fstat(file.number, &status) != 0 {
      throw place(of: contents).missing(
        ServiceError(.current, "cannot look at blob \(contents.digest)")
      )
    }
    guard let size = UInt64(exactly: status.st_size), size == contents.size else {
      throw place(of: contents).wrongLength(
        contents.digest,
        expected: contents.size,
        got: "\(status.st_size) bytes"
      )
    }
    return .file(BlobFile(file), size: size)
  }

  private func place(of contents: NARContents) -> NARWalk {
    .to(contents, in: node, directories)
  }
}
