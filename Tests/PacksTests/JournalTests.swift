import Packs
import Platform
import Testing

@Suite("Journals")
struct JournalTests {
  private struct Scanned {
    var records: [JournalRecord] = []
    var payloads: [[UInt8]] = []
    var end: UInt64 = 0
    var isDamaged = false
  }

  private func scan(
    _ reader: JournalReader,
    from start: UInt64 = JournalReader.start,
    isThorough: Bool = false
  ) throws -> Scanned {
    var result = Scanned()
    let scan = try reader.scan(from: start, isThorough: isThorough) { record, payload in
      result.records.append(record)
      result.payloads.append([UInt8](payload))
    }
    (result.end, result.isDamaged) = (scan.end, scan.isDamaged)
    return result
  }

  private func add(_ record: Written, to journal: JournalWriter) {
    record.bytes.withUnsafeBytes { journal.add(record.key, record.kind, $0) }
  }

  @Test("readers beside the writer see what is committed, each record once, and can read it")
  func readAlong() throws {
    let store = try TestStore()
    let journal = try JournalWriter(store.session())
    let reader = try JournalReader(
      store.bytes("packs/" + journal.id.fileName(.journal)),
      id: journal.id
    )
    var random = SeededRandom(1)
    var end = JournalReader.start
    for round in 0..<30 {
      let records = random.records(round % 4, upTo: round == 7 ? 6_000_000 : 3000)
      for record in records { add(record, to: journal) }
      let committed = try journal.commit()
      #expect(committed.map(\.key) == records.map(\.key))
      let seen = try scan(reader, from: end)
      #expect(seen.records == committed && seen.payloads == records.map(\.bytes))
      #expect(!seen.isDamaged)
      end = seen.end
      try reader.sync()
      for (record, written) in zip(seen.records, records) {
        var bytes = [UInt8](repeating: 0, count: record.length)
        let count = try bytes.withUnsafeMutableBytes { try reader.read(record, into: $0) }
        #expect(count == record.length && bytes == written.bytes)
      }
    }
    #expect(try scan(reader, from: end).records.isEmpty)
    #expect(try store.list("tmp").isEmpty)
  }

  @Test("a batch that was not committed is not there")
  func uncommitted() throws {
    let store = try TestStore()
    let journal = try JournalWriter(store.session())
    var random = SeededRandom(2)
    add(random.records(1, upTo: 50)[0], to: journal)
    let reader = try JournalReader(store.bytes("packs/" + journal.id.fileName(.journal)))
    #expect(try scan(reader).records.isEmpty)
  }

  @Test("a journal whose writer is gone becomes a pack of its name")
  func sealing() throws {
    let store = try TestStore()
    var random = SeededRandom(3)
    let records = random.records(300, upTo: 20_000)
    let id: PackID
    do {
      let journal = try JournalWriter(store.session(1))
      for (number, record) in records.enumerated() {
        add(record, to: journal)
        if number % 7 == 0 { _ = try journal.commit() }
      }
      _ = try journal.commit()
      id = journal.id
    }
    let reader = try JournalReader(store.bytes("packs/" + id.fileName(.journal)), id: id)
    let (pack, isDamaged) = try reader.seal(into: store.session(2))
    #expect(!isDamaged && pack?.id == id && pack?.reader.count == 300)
    let sealed = try store.pack(try #require(pack))
    for record in records {
      #expect(try sealed.bytes(record.key, RecordKinds(record.kind)) == record.bytes)
    }
    // A second one who has the same idea changes nothing.
    #expect(throws: PackError.self) { try reader.seal(into: store.session(3)) }
    #expect(try store.list("packs").count == 2 && store.list("tmp").isEmpty)
  }

  @Test("a full journal says so")
  func full() throws {
    let store = try TestStore()
    let journal = try JournalWriter(store.session { $0.targetSize = 100_000 })
    #expect(journal.takes(8 << 20) && !journal.takes(8 << 20 + 1))
    var random = SeededRandom(4)
    while !journal.isFull { add(random.records(1, upTo: 5000)[0], to: journal) }
    #expect(journal.byteCount >= 100_000 && !journal.takes(1))
    let committed = try journal.commit().count
    let reader = try JournalReader(store.bytes("packs/" + journal.id.fileName(.journal)))
    #expect(try scan(reader).records.count == committed)
  }

  @Test("cut at any place, a journal gives every record before the cut and no wrong one")
  func tornTail() throws {
    let store = try TestStore()
    let journal = try JournalWriter(store.session())
    var random = SeededRandom(5)
    let records = random.records(12, upTo: 1500)
    for record in records { add(record, to: journal) }
    let committed = try journal.commit()
    let file = try store.contents("packs/" + journal.id.fileName(.journal))
    let end = journal.byteCount
    for cut in stride(from: 512, through: end, by: 97) {
      var torn = Array(file.prefix(end))
      for index in cut..<end { torn[index] = 0 }
      let reader = try JournalReader(torn.written(to: store, as: "torn"))
      let whole = committed.filter { Int($0.place) + $0.length <= cut }.count
      for isThorough in [false, true] {
        let seen = try scan(reader, isThorough: isThorough)
        // The last payload may end in zeros of its own.
        #expect(
          seen.records.starts(with: committed.prefix(whole)) && seen.records.count <= whole + 1
        )
        #expect(seen.payloads.elementsEqual(records.prefix(seen.records.count).map(\.bytes)))
      }
    }
  }
}
