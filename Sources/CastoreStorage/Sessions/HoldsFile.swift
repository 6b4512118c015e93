internal import Castore
internal import Glibc
internal import Platform

/// Something that a session relies on.
struct HeldObject: Hashable, Sendable {
  var digest: B3Digest
  var kind: ObjectKind
}

/// The list of what a session relies on, which collectors read: entries of 40 bytes, a byte for the kind
/// (1 blob, 2 directory), seven zeros, the digest. Only ever appended to.
final class HoldsFile: Sendable {
  static let name = "holds"
  private static let entryBytes = 40

  private let file: OwnedDescriptor
  private let path: String

  /// Makes the list of a session.
  init(in folder: borrowing OwnedDescriptor, path: String) throws(ServiceError) {
    let number = openat(
      folder.number,
      Self.name,
      O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
      0o600
    )
    if number == -1 { throw ServiceError.system(.current, "create \(path)/\(Self.name)") }
    file = OwnedDescriptor(adopting: number)
    self.path = path
  }

  func append(_ objects: [HeldObject]) throws(ServiceError) {
    let count = objects.count * Self.entryBytes
    do throws(Errno) {
      try withUnsafeTemporaryAllocation(byteCount: count, alignment: 8) { buffer throws(Errno) in
        for (place, object) in objects.enumerated() {
          let start = place * Self.entryBytes
          buffer.storeBytes(of: 0, toByteOffset: start, as: UInt64.self)
          buffer[start] = object.kind.rawValue
          object.digest.withUnsafeBytes { bytes in
            UnsafeMutableRawBufferPointer(rebasing: buffer[(start + 8)...]).copyMemory(from: bytes)
          }
        }
        // One call, so that entries of several threads do not mix; a full disk may still cut it short,
        // and then the session relies on nothing new.
        guard let base = buffer.baseAddress else { return }
        let number = file.number
        let written = try retryingOnInterrupt { write(number, base, count) }
        if written != count { throw Errno(ENOSPC) }
      }
    } catch {
      throw ServiceError.system(error, "write \(path)/\(Self.name)")
    }
  }

  /// Shows all that a session has said so far; nothing where it has no list.
  static func forEach(
    in folder: borrowing OwnedDescriptor,
    path: String,
    _ body: (HeldObject) throws(ServiceError) -> Void
  ) throws(ServiceError) {
    let number = openat(folder.number, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    if number == -1 {
      if errno == ENOENT { return }
      throw ServiceError.system(.current, "open \(path)/\(name)")
    }
    let file = OwnedDescriptor(adopting: number)
    let buffer = HeapBytes(count: 1024 * entryBytes)
    var offset: UInt64 = 0
    while true {
      let count: Int
      do throws(Errno) {
        count = try FileIO.read(file.number, at: offset, into: buffer.bytes)
      } catch {
        throw ServiceError.system(error, "read \(path)/\(name)")
      }
      // A part of an entry at the end is one that a full disk cut off: nobody relies on it.
      for place in 0..<(count / entryBytes) {
        let entry = UnsafeRawBufferPointer(
          rebasing: buffer.bytes[(place * entryBytes)..<((place + 1) * entryBytes)]
        )
        let digest = try? B3Digest(bytes: UnsafeRawBufferPointer(rebasing: entry[8...]))
        guard let kind = ObjectKind(rawValue: entry[0]), let digest else {
          throw ServiceError(.corrupt, "\(path)/\(name) holds an entry that is none")
        }
        try body(HeldObject(digest: digest, kind: kind))
      }
      offset += UInt64(count)
      if count < buffer.bytes.count { return }
    }
  }
}
