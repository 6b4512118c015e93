public import Castore
internal import Glibc
internal import Packs
public import Platform

extension LocalStore: LocalBlobAccess {
  /// A local store asks nobody else.
  public var isComplete: Bool { true }

  /// See `LocalBlobAccess`.
  public func holdsLocal(_ digest: B3Digest) throws(ServiceError) -> Bool {
    try core.index.find(digest, .blob) != nil
  }

  /// See `LocalBlobAccess`.
  public func readLocal(
    _ digest: B3Digest,
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(ServiceError) -> Int? {
    if let blob = openBlobs.blob(digest) {
      do throws(ServiceError) {
        return try blob.read(at: offset, into: buffer)
      } catch {
        if error.code != .corrupt { throw error }
        // Another copy may be whole: look for it as if none were open.
        openBlobs.remove(digest)
        core.damage.note(HeldObject(digest: digest, kind: .blob), blob.record)
      }
    }
    return try core.withRecord(HeldObject(digest: digest, kind: .blob)) {
      (pack, place) throws(ServiceError) in
      if place.kind == .blob {
        return try core.readBlobRecord(digest, pack, place, at: offset, into: buffer)
      }
      let blob = try core.openLargeBlob(digest, pack, place)
      let count = try blob.read(at: offset, into: buffer)
      openBlobs.insert(digest, blob)
      return count
    }
  }

  /// See `LocalBlobAccess`. Lends packs, too, where the blob was verified before.
  public func withFileLocal(
    _ digest: B3Digest,
    reading range: Range<UInt64>,
    _ body: (LocalFileExtent) -> Void
  ) throws(ServiceError) -> Bool {
    if let blob = try openBlob(digest) {
      if !blob.isVerified(range) { return false }
      // The number is only good while somebody holds the file, whatever becomes of the cache meanwhile.
      withExtendedLifetime(blob) {
        body(LocalFileExtent(descriptor: blob.file.number, offset: 0, size: blob.size))
      }
      return true
    }
    let isLent = try core.withRecord(HeldObject(digest: digest, kind: .blob)) {
      (pack, place) throws(ServiceError) in
      guard place.kind == .blob, place.codec == .none, !verifiesReads || pack.isVerified(place)
      else { return false }
      pack.file.withDescriptor { number in
        body(
          LocalFileExtent(
            descriptor: number,
            offset: place.place,
            size: UInt64(place.length)
          )
        )
      }
      return true
    }
    return isLent ?? false
  }

  /// The open file of a blob; `nil` where it has none.
  private func openBlob(_ digest: B3Digest) throws(ServiceError) -> OpenBlob? {
    if let blob = openBlobs.blob(digest) { return blob }
    let blob = try core.withRecord(HeldObject(digest: digest, kind: .blob)) {
      (pack, place) throws(ServiceError) -> OpenBlob? in
      place.kind == .largeBlob ? try core.openLargeBlob(digest, pack, place) : nil
    }
    guard let blob = blob ?? nil else { return nil }
    openBlobs.insert(digest, blob)
    return blob
  }

  /// See `LocalBlobAccess`.
  public func releaseDescriptors() {
    openBlobs.removeAll()
    core.index.packs.closeIdle()
  }

  /// See `LocalBlobAccess`.
  public func openLocalFile(_ digest: B3Digest) throws(ServiceError) -> OwnedDescriptor? {
    let file = try core.withRecord(HeldObject(digest: digest, kind: .blob)) {
      (pack, place) throws(ServiceError) -> CInt? in
      guard place.kind == .largeBlob else { return nil }
      return try core.blobs.open(digest, size: core.size(pack, place)).release()
    }
    guard let number = file ?? nil else { return nil }
    return OwnedDescriptor(adopting: number)
  }

  /// See `LocalBlobAccess`.
  public func verifyLocal(_ digest: B3Digest) throws(ServiceError) -> Bool {
    if !verifiesReads { return try holdsLocal(digest) }
    let isThere: Void? = try core.withRecord(HeldObject(digest: digest, kind: .blob)) {
      (pack, place) throws(ServiceError) in
      if place.kind == .blob {
        if !pack.isVerified(place) { try core.readWhole(digest, .blob, pack, place) { _ in } }
        return
      }
      let blob: OpenBlob
      if let open = openBlobs.blob(digest),
        open.record.isSamePlace(as: .init(pack: pack.id, place: place))
      {
        blob = open
      } else {
        blob = try core.openLargeBlob(digest, pack, place)
        openBlobs.insert(digest, blob)
      }
      try blob.verifyAll { _ in }
    }
    return isThere != nil
  }

  /// The length of a blob; `nil` where there is none of that digest.
  public func sizeLocal(_ digest: B3Digest) throws(ServiceError) -> UInt64? {
    try core.withRecord(HeldObject(digest: digest, kind: .blob)) {
      (pack, place) throws(ServiceError) in try core.size(pack, place)
    }
  }

  /// See `LocalBlobAccess`. Nothing lies in memory.
  public func withBytesLocal(
    _ digest: B3Digest,
    _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(ServiceError) -> Bool {
    false
  }
}
