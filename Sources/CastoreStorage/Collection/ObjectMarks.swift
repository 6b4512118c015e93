internal import Castore
internal import Packs

/// Which objects of a table are reachable: bits over its ordinals.
///
/// Memory is two bits for each object and a bounded list of directories that wait; where there are more of
/// these, they are found again by going through the table.
struct ObjectMarks {
  let core: StoreCore
  let table: TableReader
  private(set) var live: Bits
  private var scanned: Bits
  /// Ordinals of directories that are live and not looked into yet.
  private var waiting: [(ordinal: Int, digest: B3Digest)] = []
  private var hasOverflowed = false
  /// Objects that are not in the table: missing, or stored since it was made.
  private var others: Set<HeldObject> = []
  /// What is referred to and not there.
  private(set) var missing: [HeldObject] = []

  private static let waitingLimit = 1 << 18
  private static let missingLimit = 1000

  init(_ core: StoreCore, _ table: TableReader) {
    self.core = core
    self.table = table
    live = Bits(count: table.count)
    scanned = Bits(count: table.count)
  }

  /// Marks an object and all below it.
  ///
  /// - Throws: `.corrupt` where a directory is damaged: what it refers to is not known then.
  mutating func mark(_ object: HeldObject) throws(ServiceError) {
    try note(object)
    try scanWaiting()
  }

  /// Whether an object was marked.
  func isMarked(_ object: HeldObject) -> Bool {
    if others.contains(object) { return true }
    do throws(PackError) {
      let found = try table.find(PackKey(object.digest), object.kind.records)
      return found.map { live.contains($0.ordinal) } ?? false
    } catch {
      // What cannot be read now is rather kept.
      return true
    }
  }

  private mutating func note(_ object: HeldObject) throws(ServiceError) {
    let found: (ordinal: Int, entry: TableEntry)?
    do throws(PackError) {
      found = try table.find(PackKey(object.digest), object.kind.records)
    } catch {
      throw ServiceError(error, in: core.path)
    }
    guard let found else { return try noteOther(object) }
    if !live.insert(found.ordinal) || object.kind == .blob { return }
    if waiting.count < Self.waitingLimit {
      waiting.append((found.ordinal, object.digest))
    } else {
      hasOverflowed = true
    }
  }

  /// Something that came after the table was made keeps what it refers to, which may be in the table.
  private mutating func noteOther(_ object: HeldObject) throws(ServiceError) {
    if !others.insert(object).inserted { return }
    if object.kind == .blob {
      if try core.index.find(object.digest, .blob) == nil { noteMissing(object) }
      return
    }
    guard let children = try children(of: object.digest) else { return noteMissing(object) }
    for child in children { try note(child) }
  }

  private mutating func noteMissing(_ object: HeldObject) {
    if missing.count < Self.missingLimit { missing.append(object) }
  }

  private mutating func scanWaiting() throws(ServiceError) {
    while true {
      while let (ordinal, digest) = waiting.popLast() { try scan(ordinal, digest) }
      if !hasOverflowed { return }
      hasOverflowed = false
      // Those that were not written down.
      let cursor = TableCursor(table)
      while true {
        let ordinal = cursor.ordinal
        let entry: TableEntry?
        do throws(PackError) {
          entry = try cursor.next()
        } catch {
          throw ServiceError(error, in: core.path)
        }
        guard let entry else { break }
        if entry.at.kind == .directory, live.contains(ordinal), !scanned.contains(ordinal) {
          try scan(ordinal, B3Digest(entry.key))
          while let (ordinal, digest) = waiting.popLast() { try scan(ordinal, digest) }
        }
      }
    }
  }

  private mutating func scan(_ ordinal: Int, _ digest: B3Digest) throws(ServiceError) {
    if !scanned.insert(ordinal) { return }
    guard let children = try children(of: digest) else {
      throw ServiceError(
        .corrupt,
        "directory \(digest) is in the index of \(core.path) and in no pack: try again"
      )
    }
    for child in children { try note(child) }
  }

  private func children(of digest: B3Digest) throws(ServiceError) -> [HeldObject]? {
    let directory = try core.withDirectory(digest) { (bytes) throws(DirectoryError) in
      try DirectoryIndex(canonicalEncoding: bytes)
    }
    guard let directory else { return nil }
    return (0..<directory.count).compactMap { directory.entry(at: $0).namedNode.node.object }
  }
}

/// A set of small numbers, one bit each.
struct Bits {
  private var words: [UInt64]

  init(count: Int) {
    words = [UInt64](repeating: 0, count: count / 64 + 1)
  }

  func contains(_ number: Int) -> Bool { words[number / 64] & (1 << UInt64(number % 64)) != 0 }

  /// Adds a number.
  ///
  /// - Returns: Whether it is new.
  mutating func insert(_ number: Int) -> Bool {
    let bit: UInt64 = 1 << UInt64(number % 64)
    if words[number / 64] & bit != 0 { return false }
    words[number / 64] |= bit
    return true
  }
}
