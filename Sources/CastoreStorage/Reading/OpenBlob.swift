internal import BLAKE3
internal import Castore
internal import Packs
internal import Platform

/// A blob that is a file of its own, open.
///
/// What is read is compared with the blob's digest by groups of 16 KiB, through the outboard in the pack that
/// knows of the file; what was found right is remembered for as long as the file is open.
final class OpenBlob: Sendable {
  let file: OwnedDescriptor
  let size: UInt64
  let path: String
  /// Where the outboard is.
  let record: FoundObject
  private let digest: B3Digest
  private let pack: OpenPack
  /// `nil` where reads are not verified.
  private let verifier: BLAKE3.OutboardVerifier?

  /// Where in the record of a large blob its outboard begins: after the size.
  static let outboardOffset = 8

  init(
    _ digest: B3Digest,
    file: consuming OwnedDescriptor,
    size: UInt64,
    path: String,
    pack: OpenPack,
    place: RecordPlace,
    verifies: Bool
  ) throws(ServiceError) {
    self.digest = digest
    self.file = file
    self.size = size
    self.path = path
    self.pack = pack
    record = FoundObject(pack: pack.id, place: place)
    if !verifies {
      verifier = nil
      return
    }
    let root = BLAKE3.Digest(words: digest.words)
    guard let verifier = BLAKE3.OutboardVerifier(digest: root, size: size) else {
      throw ServiceError(.io, "no memory to verify \(path) by groups")
    }
    guard
      verifier.outboardByteCount + UInt64(Self.outboardOffset) == UInt64(place.length)
    else {
      throw ServiceError(
        .corrupt,
        "the record of \(path) in pack \(pack.id) does not have the length of its outboard"
      )
    }
    self.verifier = verifier
  }

  /// Reads bytes, starting at an offset.
  ///
  /// - Returns: How many bytes were filled; fewer than the buffer only at the end.
  /// - Throws: `.corrupt` where the bytes are not those of the blob.
  func read(
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(ServiceError) -> Int {
    guard offset < size else { return 0 }
    let count = Int(min(UInt64(buffer.count), size - offset))
    let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
    let range = offset..<(offset + UInt64(count))
    guard let verifier, count > 0, !verifier.isVerified(range) else {
      try fill(part, at: offset)
      return count
    }
    let groups = verifier.groups(covering: range)
    if groups == range {
      try fill(part, at: offset)
      try verify(UnsafeRawBufferPointer(part), at: offset, verifier)
      return count
    }
    let scratch = HeapBytes(count: Int(groups.upperBound - groups.lowerBound))
    try fill(scratch.bytes, at: groups.lowerBound)
    try verify(UnsafeRawBufferPointer(scratch.bytes), at: groups.lowerBound, verifier)
    let start = Int(offset - groups.lowerBound)
    part.copyMemory(
      from: UnsafeRawBufferPointer(rebasing: scratch.bytes[start..<(start + count)])
    )
    return count
  }

  /// Whether some bytes need no checking any more.
  func isVerified(_ range: Range<UInt64>) -> Bool {
    guard let verifier, !range.isEmpty else { return true }
    return range.upperBound <= size && verifier.isVerified(range)
  }

  /// Verifies all that was not read yet.
  ///
  /// - Parameter progress: Told the number of every further run of bytes.
  func verifyAll(_ progress: (Int) -> Void) throws(ServiceError) {
    guard let verifier else { return }
    let buffer = HeapBytes(count: 1 << 20)
    var offset: UInt64 = 0
    while offset < size {
      let count = Int(min(UInt64(buffer.bytes.count), size - offset))
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<count])
      try fill(part, at: offset)
      try verify(UnsafeRawBufferPointer(part), at: offset, verifier)
      offset += UInt64(count)
      progress(count)
    }
  }

  private func fill(
    _ buffer: UnsafeMutableRawBufferPointer,
    at offset: UInt64
  ) throws(ServiceError) {
    let count: Int
    do throws(Errno) {
      count = try FileIO.read(file.number, at: offset, into: buffer)
    } catch {
      throw ServiceError.system(error, "read \(path)")
    }
    if count < buffer.count {
      throw ServiceError(
        .corrupt,
        "\(path) ends at byte \(offset + UInt64(count)) of \(size)"
      )
    }
  }

  private func verify(
    _ bytes: UnsafeRawBufferPointer,
    at offset: UInt64,
    _ verifier: BLAKE3.OutboardVerifier
  ) throws(ServiceError) {
    let reader = pack.reader
    let place = record.place
    let flaw: BLAKE3.OutboardVerifier.Flaw?
    do throws(PackError) {
      flaw = try verifier.verify(bytes, at: offset) { (start, buffer) throws(PackError) in
        let count = try reader.read(place, at: Self.outboardOffset + Int(start), into: buffer)
        if count < buffer.count { throw .damaged("an outboard is short") }
      }
    } catch {
      throw ServiceError(error, in: "the outboard of \(path)")
    }
    switch flaw {
    case nil: return
    case .content(let range):
      throw ServiceError(
        .corrupt,
        "\(path) is damaged between bytes \(range.lowerBound) and \(range.upperBound)"
      )
    case .outboard(let start):
      throw ServiceError(
        .corrupt,
        "the outboard of \(path), in pack \(pack.id), is damaged at its byte \(start)"
      )
    }
  }
}
