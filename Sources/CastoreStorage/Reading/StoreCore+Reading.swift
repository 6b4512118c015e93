internal import Castore
internal import Packs
internal import Platform

extension StoreCore {
  /// Calls `body` with an object's record, and with another copy of it where the first turns out damaged.
  ///
  /// - Returns: `nil` where the store has no such object.
  /// - Throws: `.corrupt` where all copies are damaged.
  func withRecord<Result>(
    _ object: HeldObject,
    _ body: (OpenPack, RecordPlace) throws(ServiceError) -> Result
  ) throws(ServiceError) -> Result? {
    var rejected: [FoundObject] = []
    var failure: ServiceError?
    while true {
      var knownDamage: FoundObject?
      let open = try index.open(object.digest, object.kind) { (found) throws(ServiceError) in
        if rejected.contains(where: { $0.isSamePlace(as: found) }) { return false }
        if damage.contains(found) {
          knownDamage = found
          return false
        }
        return true
      }
      guard let (pack, place) = open else {
        if let failure { throw failure }
        if let knownDamage { throw damaged(object, knownDamage) }
        return nil
      }
      do throws(ServiceError) {
        return try body(pack, place)
      } catch {
        if error.code != .corrupt { throw error }
        let found = FoundObject(pack: pack.id, place: place)
        damage.note(object, found)
        rejected.append(found)
        failure = ServiceError(
          .corrupt,
          "\(error.message); 'castore verify --repair' sets it aside and fetches a good copy",
          cause: error.cause
        )
      }
    }
  }

  private func damaged(_ object: HeldObject, _ found: FoundObject) -> ServiceError {
    let pack = "\(found.place.place) in \(index.packs.path(of: found.pack))"
    let place =
      found.place.kind == .largeBlob
      ? "its file \(blobs.path(of: object.digest)) or the record of that at \(pack)" : "at \(pack)"
    return ServiceError(
      .corrupt,
      """
      \(object.kind) \(object.digest) is damaged, \(place); \
      'castore verify --repair' sets it aside and fetches a good copy
      """
    )
  }

  /// Reads a part of a blob that is a record, and verifies all of it if that was not done yet.
  func readBlobRecord(
    _ digest: B3Digest,
    _ pack: OpenPack,
    _ place: RecordPlace,
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(ServiceError) -> Int {
    guard offset < UInt64(place.length) else {
      if place.length == 0 && verifiesReads { try readWhole(digest, .blob, pack, place) { _ in } }
      return 0
    }
    let start = Int(offset)
    let count = min(buffer.count, Int(place.length) - start)
    if !verifiesReads || pack.isVerified(place) {
      return try reading(pack) { (reader) throws(PackError) in
        try reader.read(place, at: start, into: buffer)
      }
    }
    if start == 0 && count == Int(place.length) {
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
      _ = try reading(pack) { (reader) throws(PackError) in try reader.read(place, into: part) }
      try verify(digest, .blob, UnsafeRawBufferPointer(part), pack, place)
      return count
    }
    try readWhole(digest, .blob, pack, place) { bytes in
      buffer.copyMemory(
        from: UnsafeRawBufferPointer(rebasing: bytes[start..<(start + count)])
      )
    }
    return count
  }

  /// Lends all bytes of a record, verified.
  func readWhole<Result>(
    _ digest: B3Digest,
    _ kind: ObjectKind,
    _ pack: OpenPack,
    _ place: RecordPlace,
    _ body: (UnsafeRawBufferPointer) throws(ServiceError) -> Result
  ) throws(ServiceError) -> Result {
    let bytes = HeapBytes(count: Int(place.length))
    let buffer = bytes.bytes
    _ = try reading(pack) { (reader) throws(PackError) in try reader.read(place, into: buffer) }
    if verifiesReads && !pack.isVerified(place) {
      try verify(digest, kind, UnsafeRawBufferPointer(buffer), pack, place)
    }
    return try body(UnsafeRawBufferPointer(buffer))
  }

  /// Lends all bytes of a record that is not named by the digest of its own bytes.
  func readUnverified(
    _ pack: OpenPack,
    _ place: RecordPlace,
    _ body: (UnsafeRawBufferPointer) throws(ServiceError) -> Void
  ) throws(ServiceError) {
    let bytes = HeapBytes(count: Int(place.length))
    let buffer = bytes.bytes
    _ = try reading(pack) { (reader) throws(PackError) in try reader.read(place, into: buffer) }
    try body(UnsafeRawBufferPointer(buffer))
  }

  private func verify(
    _ digest: B3Digest,
    _ kind: ObjectKind,
    _ bytes: UnsafeRawBufferPointer,
    _ pack: OpenPack,
    _ place: RecordPlace
  ) throws(ServiceError) {
    if B3Digest(hashing: bytes) == digest { return pack.noteVerified(place) }
    throw ServiceError(
      .corrupt,
      """
      \(kind) \(digest) is damaged: other bytes stand at \(place.place) in \(index.packs.path(of: pack.id))
      """
    )
  }

  private func reading<Result>(
    _ pack: OpenPack,
    _ body: (PackReader) throws(PackError) -> Result
  ) throws(ServiceError) -> Result {
    do throws(PackError) {
      return try body(pack.reader)
    } catch {
      throw ServiceError(error, in: "\(path)/\(StoreLayout.packsName)")
    }
  }

  // MARK: Large blobs

  /// The length of a blob, as its record says.
  func size(_ pack: OpenPack, _ place: RecordPlace) throws(ServiceError) -> UInt64 {
    if place.kind == .blob { return UInt64(place.length) }
    var size: UInt64 = 0
    let count = try withUnsafeMutableBytes(of: &size) { (bytes) throws(ServiceError) in
      try reading(pack) { (reader) throws(PackError) in try reader.read(place, into: bytes) }
    }
    if count < 8 {
      throw ServiceError(
        .corrupt,
        "the record at \(place.place) in \(index.packs.path(of: pack.id)) is too short for a blob's size"
      )
    }
    return UInt64(littleEndian: size)
  }

  /// Opens the file of a large blob.
  func openLargeBlob(
    _ digest: B3Digest,
    _ pack: OpenPack,
    _ place: RecordPlace
  ) throws(ServiceError) -> OpenBlob {
    guard place.kind == .largeBlob else {
      throw ServiceError(
        .unsupported,
        "blob \(digest) is kept in a way that this program does not know (kind \(place.kind))"
      )
    }
    let size = try size(pack, place)
    return try OpenBlob(
      digest,
      file: try blobs.open(digest, size: size),
      size: size,
      path: blobs.path(of: digest),
      pack: pack,
      place: place,
      verifies: verifiesReads
    )
  }

  /// Whether an object that was found is what its digest says; what was verified since its pack was opened is
  /// not read again. A damaged one is noted as such.
  func isWhole(_ object: HeldObject, _ found: FoundObject) throws(ServiceError) -> Bool {
    guard let pack = try index.packs.pack(found.pack) else { return false }
    do throws(ServiceError) {
      switch found.place.kind {
      case .largeBlob:
        let blob = try openLargeBlob(object.digest, pack, found.place)
        try blob.verifyAll { _ in }
      case .blob, .directory:
        if verifiesReads && !pack.isVerified(found.place) {
          try readWhole(object.digest, object.kind, pack, found.place) { _ in }
        }
      case .chunkedBlob:
        break
      }
      return true
    } catch {
      if error.code != .corrupt { throw error }
      damage.note(object, found)
      return false
    }
  }
}

extension FoundObject {
  func isSamePlace(as other: FoundObject) -> Bool {
    pack == other.pack && place.place == other.place.place
  }
}
