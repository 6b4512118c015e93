import Foundation
import Packs
import Testing

extension [UInt8] {
  func written(to store: TestStore, as name: String) throws -> FileBytes {
    try Data(self).write(to: URL(fileURLWithPath: store.path + "/" + name))
    return try store.bytes(name)
  }

  /// Damage of one of the ways in which disks and programs do it.
  mutating func damage(_ random: inout SeededRandom) {
    guard !isEmpty else { return }
    let place = Int.random(in: 0..<count, using: &random)
    switch random.next() % 6 {
    case 0, 1:
      self[place] ^= 1 << (random.next() % 8)
    case 2:
      removeSubrange(place...)
    case 3:
      let end = Swift.min(count, place + 512)
      for index in place..<end { self[index] = 0 }
    case 4:
      // Two blocks change places.
      let (one, other) = (
        place / 4096 * 4096, Int.random(in: 0..<count, using: &random) / 4096 * 4096
      )
      for index in 0..<4096 where Swift.max(one, other) + index < count {
        swapAt(one + index, other + index)
      }
    default:
      let end = Swift.min(count, place + 64)
      for index in place..<end { self[index] = UInt8(truncatingIfNeeded: random.next()) }
    }
  }
}

/// Nothing that happens to a file traps, or makes a record vanish without an error, or shows one that was
/// never written, other than by bytes that do not have its digest.
@Suite("Damage")
struct DamageTests {
  @Test("a damaged pack: a record is found or an error says why not", arguments: [40, 2500])
  func packs(count: Int) throws {
    let store = try TestStore()
    var random = SeededRandom(UInt64(count))
    let records = random.records(count, upTo: 500)
    let writer = PackWriter(try store.session { $0.bufferSize = 256 << 10 })
    for record in records { try writer.add(record) }
    let frame = random.bytes(300)
    let member = PackWriter.GroupMember(random.key(), kind: .blob, offset: 5, length: 20)
    try frame.withUnsafeBytes { (bytes) throws in try writer.putGroup(bytes, length: 30, [member]) }
    let sealed = try #require(try writer.finish().first)
    let good = try store.contents("packs/" + sealed.id.fileName(.pack))
    let rounds = count < 100 ? 3000 : 60
    var damagedReads = 0
    for _ in 0..<rounds {
      var bytes = good
      bytes.damage(&random)
      if random.next() % 4 == 0 { bytes.damage(&random) }
      guard let pack = try? PackReader(MemoryBytes(bytes), id: sealed.id) else { continue }
      #expect(bytes == good || !pack.findDamage().isEmpty || pack.count == count + 1)
      for record in records {
        do {
          let place = try #require(try pack.find(record.key, RecordKinds(record.kind)))
          #expect(Int(place.length) == record.bytes.count)
          if try pack.bytes(place) != record.bytes {
            damagedReads += 1
            // Only where the record's own bytes were hit: its digest tells.
            let start = Int(place.place)
            #expect(Array(bytes[start..<start + record.bytes.count]) != record.bytes)
          }
        } catch is PackError {}
      }
      do {
        #expect(try pack.find(random.key(), .all) == nil)
        let place = try #require(try pack.find(member.key, .blobs))
        let group = try pack.group(place.group)
        #expect(group.holds(place))
      } catch is PackError {}
    }
    #expect(damagedReads > 0)
  }

  @Test("one end of a pack is lost: the other one serves")
  func oneEnd() throws {
    let store = try TestStore()
    var random = SeededRandom(2)
    let records = random.records(300, upTo: 500)
    let writer = PackWriter(try store.session())
    for record in records { try writer.add(record) }
    let sealed = try #require(try writer.finish().first)
    let good = try store.contents("packs/" + sealed.id.fileName(.pack))
    let front = 512 + 300 * 48 + 8

    var noFront = good
    for index in 0..<front { noFront[index] = 0xA5 }
    let byFooter = try PackReader(MemoryBytes(noFront), id: sealed.id)
    #expect(byFooter.findDamage().count == 2)
    // The back table and the footer are cut off.
    let byHeader = try PackReader(MemoryBytes(good.dropLast(front)), id: sealed.id)
    #expect(byHeader.findDamage().count >= 2)
    for record in records {
      #expect(try byFooter.bytes(record.key, RecordKinds(record.kind)) == record.bytes)
      #expect(try byHeader.bytes(record.key, RecordKinds(record.kind)) == record.bytes)
    }

    var noTables = good
    for index in 512..<front { noTables[index] ^= 1 }
    for index in (good.count - 512 - front)..<(good.count - 512) { noTables[index] ^= 1 }
    let blind = try PackReader(MemoryBytes(noTables), id: sealed.id)
    for record in records {
      #expect(throws: PackError.self) { try blind.find(record.key, .all) }
    }
    #expect(throws: PackError.self) {
      try PackReader(MemoryBytes(good), id: PackID(session: 1, number: 1))
    }
  }

  @Test("places from elsewhere that do not lie in the pack are refused")
  func foreignPlaces() throws {
    let store = try TestStore()
    let writer = PackWriter(try store.session())
    var random = SeededRandom(3)
    for record in random.records(30, upTo: 500) { try writer.add(record) }
    let pack = try store.pack(try #require(try writer.finish().first))
    for place in [0, 512, 1 << 20, UInt64.max, UInt64.max - 511, UInt64(1) << 63] {
      for length in [UInt32(1), 5000, .max] {
        #expect(throws: PackError.self) {
          try withUnsafeTemporaryAllocation(byteCount: 100, alignment: 8) {
            try pack.read(RecordPlace(place: place, length: length, kind: .blob), into: $0)
          }
        }
      }
    }
  }

  @Test("a damaged table: a key is found with its place, or an error says that the table is bad")
  func tables() throws {
    let store = try TestStore()
    let session = try store.session()
    var random = SeededRandom(4)
    var entries: [TableEntry] = []
    for number in 0..<1500 {
      let place = RecordPlace(place: UInt64(number) * 512, length: UInt32(number), kind: .blob)
      entries.append(TableEntry(random.key(), pack: number % 3, place))
    }
    entries.sort { $0.key < $1.key }
    let packs = (0..<3).map { PackID(session: 1, number: $0) }
    let writer = try TableWriter(session, id: 77, packs: packs)
    for entry in entries { try writer.append(entry) }
    try writer.finish(in: store.folder("index"), as: "t", isDurable: false)
    let good = try store.contents("index/t")
    var opened = 0
    var misses = 0
    for _ in 0..<3000 {
      var bytes = good
      bytes.damage(&random)
      guard let table = try? TableReader(MemoryBytes(bytes)) else { continue }
      opened += 1
      for _ in 0..<20 {
        let number = Int.random(in: entries.indices, using: &random)
        do throws(PackError) {
          let found = try table.find(entries[number].key, .blobs)
          let absent = try table.find(random.key(), .all)
          #expect(found?.ordinal == number && found?.entry == entries[number])
          #expect(absent == nil)
        } catch {
          misses += 1
        }
      }
      if bytes != good { #expect(throws: PackError.self) { try table.verify() } }
    }
    #expect(opened > 100 && misses > 100)
  }

  @Test("a damaged journal: what was not hit is there, and nothing that was not written")
  func journals() throws {
    let store = try TestStore()
    var random = SeededRandom(5)
    let records = random.records(40, upTo: 1200)
    let journal = try JournalWriter(store.session())
    for record in records {
      record.bytes.withUnsafeBytes { journal.add(record.key, record.kind, $0) }
    }
    let committed = try journal.commit()
    let good = Array(
      try store.contents("packs/" + journal.id.fileName(.journal)).prefix(journal.byteCount + 4096)
    )
    for _ in 0..<300 {
      var bytes = good
      bytes.damage(&random)
      guard let reader = try? JournalReader(bytes.written(to: store, as: "bad")) else { continue }
      var seen: [JournalRecord] = []
      let scan = try reader.scan(from: JournalReader.start, isThorough: true) { record, payload in
        seen.append(record)
        let number = committed.firstIndex(of: record)
        #expect(number != nil && records[number ?? 0].bytes.elementsEqual(payload))
      }
      let whole = zip(committed, records).filter { record, _ in
        let range = Int(record.place) - 512..<(Int(record.place) + record.length)
        return range.upperBound <= bytes.count && bytes[range] == good[range]
      }.map(\.0)
      #expect(seen == whole)
      #expect(scan.isDamaged || seen.elementsEqual(committed.prefix(seen.count)))
      // One who reads along sees the same up to the damage, and goes on from there.
      var live: [JournalRecord] = []
      let first = try reader.scan(from: JournalReader.start) { record, _ in live.append(record) }
      #expect(live.allSatisfy { seen.contains($0) } && first.end <= scan.end)
    }
  }
}
