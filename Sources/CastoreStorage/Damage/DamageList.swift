internal import Castore
internal import Glibc
internal import Packs
internal import Platform

/// A record that was found damaged: its own bytes, or the file that it speaks of.
struct DamagedRecord: Hashable, Sendable {
  var pack: PackID
  var place: UInt64
}

/// The file `damaged`: which records are known to be damaged, so that writers store such objects again and
/// readers go to another copy, if there is one.
///
/// Entries of 64 bytes, only ever appended: byte 0 the kind (1 blob, 2 directory), seven zeros, the digest,
/// then the pack's session and number and the record's place, 8 bytes each, little-endian. A lost list costs
/// nothing but finding the damage again. The list is dropped when a repair is done.
final class DamageList: Sendable {
  static let name = "damaged"
  private static let entryBytes = 64

  private struct Known {
    var records: Set<DamagedRecord> = []
    /// What the state said when the list was read.
    var stamp: UInt64?
  }

  private let root: SharedDescriptor
  private let path: String
  private let state: CollectionState
  private let access: StoreAccess
  private let known = Guarded(Known())

  init(in root: SharedDescriptor, storePath: String, state: CollectionState, access: StoreAccess) {
    self.root = root
    path = "\(storePath)/\(Self.name)"
    self.state = state
    self.access = access
  }

  /// Whether a record is known to be damaged; as of the last `update`.
  func contains(_ found: FoundObject) -> Bool {
    known.withLock { known in
      if known.records.isEmpty { return false }
      return known.records.contains(
        DamagedRecord(pack: found.pack, place: found.place.place)
      )
    }
  }

  /// Takes in what others have found, if the state says that they have found something.
  func update(_ reading: CollectionState.Reading) throws(ServiceError) {
    if known.withLock({ $0.stamp == reading.damage }) { return }
    var records: Set<DamagedRecord> = []
    try forEach { (_, record) throws(ServiceError) in records.insert(record) }
    known.withLock { known in
      known.records = records
      known.stamp = reading.damage
    }
  }

  /// Notes a damaged record, for this process and, where the store can be written, for all others.
  func note(_ object: HeldObject, _ found: FoundObject) {
    let record = DamagedRecord(pack: found.pack, place: found.place.place)
    if !known.withLock({ $0.records.insert(record).inserted }) { return }
    var entry = [UInt8](repeating: 0, count: 8)
    entry[0] = object.kind.rawValue
    entry += object.digest.bytes
    for word in [record.pack.session, record.pack.number, record.place] {
      withUnsafeBytes(of: word.littleEndian) { entry += $0 }
    }
    // Whoever cannot write the list still knows for himself, and finds the damage again next time.
    let number = openat(
      root.number,
      Self.name,
      O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
      access.fileMode
    )
    if number == -1 { return }
    let file = OwnedDescriptor(adopting: number)
    let written = entry.withUnsafeBytes { write(file.number, $0.baseAddress, $0.count) }
    if written == entry.count { try? state.noteDamage() }
  }

  /// Shows all that is in the list.
  func forEach(
    _ body: (HeldObject, DamagedRecord) throws(ServiceError) -> Void
  ) throws(ServiceError) {
    let number = openat(root.number, Self.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    if number == -1 {
      if errno == ENOENT { return }
      throw ServiceError.system(.current, "open \(path)")
    }
    let file = OwnedDescriptor(adopting: number)
    let buffer = HeapBytes(count: 1024 * Self.entryBytes)
    var offset: UInt64 = 0
    while true {
      let count: Int
      do throws(Errno) {
        count = try FileIO.read(file.number, at: offset, into: buffer.bytes)
      } catch {
        throw ServiceError.system(error, "read \(path)")
      }
      for place in 0..<(count / Self.entryBytes) {
        let start = place * Self.entryBytes
        let entry = UnsafeRawBufferPointer(
          rebasing: buffer.bytes[start..<(start + Self.entryBytes)]
        )
        let digest = try? B3Digest(bytes: UnsafeRawBufferPointer(rebasing: entry[8..<40]))
        // An entry that is none says nothing: a list that is damaged costs only finding damage again.
        guard let kind = ObjectKind(rawValue: entry[0]), let digest else { continue }
        func word(_ offset: Int) -> UInt64 {
          UInt64(littleEndian: entry.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        try body(
          HeldObject(digest: digest, kind: kind),
          DamagedRecord(
            pack: PackID(session: word(40), number: word(48)),
            place: word(56)
          )
        )
      }
      offset += UInt64(count)
      if count < buffer.bytes.count { return }
    }
  }

  /// Forgets all: after a repair.
  func clear() throws(ServiceError) {
    if unlinkat(root.number, Self.name, 0) != 0 && errno != ENOENT {
      throw ServiceError.system(.current, "remove \(path)")
    }
    known.withLock { $0.records = [] }
    try state.noteDamage()
  }
}
