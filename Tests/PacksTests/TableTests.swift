import Packs
import Platform
import Testing

/// Counts what is read.
final class CountingBytes: RandomAccessBytes {
  let base: any RandomAccessBytes
  private let calls = Guarded(0)

  init(_ base: any RandomAccessBytes) { self.base = base }

  var length: UInt64 { base.length }
  var name: String { base.name }
  var count: Int { calls.withLock { $0 } }

  func read(
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(PackError) -> Int {
    calls.withLock { $0 += 1 }
    return try base.read(at: offset, into: buffer)
  }
}

@Suite("Tables of sorted keys")
struct TableTests {
  private func places(_ count: Int, packs: Int, seed: UInt64) -> [TableEntry] {
    var random = SeededRandom(seed)
    var entries: [TableEntry] = []
    for number in 0..<count {
      let place = RecordPlace(
        place: random.next() % 1_000_000 * 512,
        length: UInt32(number),
        kind: number % 7 == 0 ? .directory : .blob,
        codec: number % 11 == 0 ? .zstdGroup : .none
      )
      entries.append(
        TableEntry(random.key(), pack: Int(random.next() % UInt64(packs)), place)
      )
    }
    return entries.sorted { $0.key < $1.key }
  }

  private func write(_ entries: [TableEntry], packs: Int, to store: TestStore) throws {
    let session = try store.session()
    let ids = (0..<packs).map { PackID(session: 5, number: UInt64($0)) }
    let writer = try TableWriter(session, id: 99, packs: ids)
    for entry in entries { try writer.append(entry) }
    let count = try writer.finish(in: store.folder("index"), as: "a.table", isDurable: true)
    #expect(count == entries.count)
  }

  @Test(
    "every key is found by one read, and no other",
    arguments: [0, 1, 77, 78, 79, 5000, 40_000]
  )
  func lookups(count: Int) throws {
    let store = try TestStore()
    let entries = places(count, packs: 12, seed: 3)
    try write(entries, packs: 12, to: store)
    #expect(try store.list("tmp").isEmpty)
    let counting = CountingBytes(try store.bytes("index/a.table"))
    let table = try TableReader(counting)
    #expect(table.count == count && table.packs.count == 12)
    let opened = counting.count
    for (ordinal, entry) in entries.enumerated() {
      let found = try #require(try table.find(entry.key, RecordKinds(entry.at.kind)))
      #expect(found.ordinal == ordinal && found.entry == entry)
    }
    #expect(counting.count - opened == count)
    var random = SeededRandom(4)
    for _ in 0..<1000 { #expect(try table.find(random.key(), .all) == nil) }
    #expect(counting.count - opened <= count + 1000)
    // Between and beside.
    for entry in entries {
      var words = entry.key.words
      words.3 ^= 1 << 56
      #expect(try table.find(PackKey(words: words), .all) == nil)
      #expect(try !table.contains(entry.key, .chunkedBlob))
    }
    #expect(try table.find(PackKey(words: (0, 0, 0, 0)), .all) == nil)
    #expect(try table.find(PackKey(words: (.max, .max, .max, .max)), .all) == nil)
    try table.verify()
  }

  @Test("entries come in order from any ordinal on")
  func iteration() throws {
    let store = try TestStore()
    let entries = places(2000, packs: 3, seed: 5)
    try write(entries, packs: 3, to: store)
    let table = try TableReader(store.bytes("index/a.table"))
    for start in [0, 1, 77, 78, 623, 624, 625, 1999, 2000, 5000] {
      let cursor = TableCursor(table, from: start)
      var read: [TableEntry] = []
      while let entry = try cursor.next() { read.append(entry) }
      #expect(read == Array(entries.dropFirst(start)))
    }
  }

  @Test(
    "keys that agree in their first bytes, over many blocks, are found with each of their kinds"
  )
  func crowdedKeys() throws {
    let store = try TestStore()
    let session = try store.session()
    let writer = try TableWriter(keysIn: session, id: 1)
    let keys = (0..<1000).map { PackKey(words: (7, 0, 0, UInt64($0).byteSwapped)) }
    for key in keys {
      for kind in RecordKind.allCases { try writer.append(key, kind) }
    }
    try writer.finish(in: store.folder("index"), as: "set", isDurable: false)
    #expect(throws: PackError.self) { try TableReader(store.bytes("index/set")) }
    let table = try TableReader(keys: store.bytes("index/set"))
    #expect(table.count == 4000)
    for (number, key) in keys.enumerated() {
      for (place, kind) in RecordKind.allCases.enumerated() {
        #expect(try table.find(key, RecordKinds(kind))?.ordinal == 4 * number + place)
      }
      #expect(try table.find(key, .all)?.entry.key == key)
    }
    #expect(try table.find(PackKey(words: (7, 0, 0, UInt64(1000).byteSwapped)), .all) == nil)
    #expect(try table.find(PackKey(words: (6, 0, 0, 0)), .all) == nil)
    #expect(try table.find(PackKey(words: (7, 0, 0, 0)), RecordKinds(.blob)) != nil)
  }

  @Test("packs and tables are merged: the first of equal records stays, packs that are gone go")
  func merge() throws {
    let store = try TestStore()
    let session = try store.session { $0.targetSize = 64 << 10 }
    var random = SeededRandom(6)
    let records = random.records(2000, upTo: 900)
    let writer = PackWriter(session)
    for record in records { try writer.add(record) }
    // Some of them again, in later packs.
    try writer.cut()
    for record in records.prefix(300) { try writer.add(record) }
    let packs = try writer.finish().map { try store.pack($0) }
    let index = try store.folder("index")

    var first = TableMerge()
    for pack in packs.prefix(packs.count / 2) { try first.add(pack) }
    try first.write(session, id: 1, in: index, as: "1", isDurable: false)
    let old = try TableReader(store.bytes("index/1"))
    var second = TableMerge()
    second.add(old, keeping: { _ in true })
    for pack in packs { try second.add(pack) }
    let count = try second.write(session, id: 2, in: index, as: "2", isDurable: true)
    #expect(count == 2000)
    let table = try TableReader(store.bytes("index/2"))
    try table.verify()
    #expect(Set(table.packs) == Set(packs.map(\.id)))
    for record in records {
      let found = try #require(try table.find(record.key, RecordKinds(record.kind))).entry
      let holders = try packs.filter { try $0.find(record.key, .all) != nil }
      #expect(table.packs[found.pack] == holders[0].id)
      let pack = try #require(packs.first { $0.id == table.packs[found.pack] })
      #expect(try pack.bytes(found.at) == record.bytes)
    }

    let gone = packs[0].id
    var third = TableMerge()
    third.add(table, keeping: { $0 != gone })
    try third.write(session, id: 3, in: index, as: "3", isDurable: true)
    let rest = try TableReader(store.bytes("index/3"))
    #expect(!rest.packs.contains(gone))
    for record in records {
      let before = try #require(try table.find(record.key, .all)).entry
      let after = try rest.find(record.key, .all)?.entry
      #expect((after == nil) == (table.packs[before.pack] == gone))
      #expect(after == nil || after?.at == before.at)
    }
  }

  @Test("a table that is not finished leaves nothing")
  func abandoned() throws {
    let store = try TestStore()
    do {
      let writer = try TableWriter(keysIn: try store.session(), id: 1)
      var random = SeededRandom(1)
      try writer.append(random.key(), .blob)
      #expect(try store.list("tmp").count == 1)
    }
    #expect(try store.list("tmp").isEmpty)
  }
}
