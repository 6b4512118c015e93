import Packs
import Platform
import SystemPackage
import Testing

@Suite("Packs")
struct PackTests {
  @Test(
    "every record is found and read back, from packs of any size, past the page cache or through it",
    arguments: [0, Int.max],
    [(3, 100), (400, 20_000), (3000, 5000)]
  )
  func roundTrip(cachedBytes: Int, shape: (count: Int, length: Int)) throws {
    let store = try TestStore()
    let session = try store.session {
      $0.cachedBytes = cachedBytes
      $0.bufferSize = 1 << 20
      $0.targetSize = 4 << 20
    }
    var random = SeededRandom(7)
    let records = random.records(shape.count, upTo: shape.length)
    let writer = PackWriter(session)
    for (number, record) in records.enumerated() {
      try writer.add(record, reserving: number % 3 != 0)
    }
    let sealed = try writer.finish()
    #expect(try store.list("tmp").isEmpty)
    #expect(try store.list("packs").count == sealed.count)
    #expect(sealed.map(\.reader.count).reduce(0, +) == records.count)
    let packs = try sealed.map { try store.pack($0) }
    for pack in packs {
      #expect(pack.findDamage().isEmpty)
      #expect(pack.header.fileLength == pack.bytes.length)
    }
    // What the writer hands out is what a reader finds.
    for (one, pack) in zip(sealed, packs) {
      var entries: [PackEntry] = []
      try pack.forEach {
        entries.append($0)
        return true
      }
      #expect(one.entries == entries && one.reader.header == pack.header)
      let entry = try #require(entries.randomElement(using: &random))
      #expect(try one.reader.bytes(entry.key, .all) == pack.bytes(entry.at))
    }
    for record in records {
      var found: [[UInt8]] = []
      for pack in packs {
        if let bytes = try pack.bytes(record.key, RecordKinds(record.kind)) { found.append(bytes) }
        #expect(try pack.find(record.key, record.kind == .blob ? .directories : .blobs) == nil)
      }
      #expect(found == [record.bytes])
    }
    for pack in packs {
      for _ in 0..<100 { #expect(try pack.find(random.key(), .all) == nil) }
    }
  }

  @Test("blobs begin at sectors and nothing but zeros follows them up to the next")
  func sectors() throws {
    let store = try TestStore()
    let session = try store.session { $0.bufferSize = 1 << 20 }
    var random = SeededRandom(8)
    let writer = PackWriter(session)
    // What a buffer held before must not be seen: records are given up in between.
    for record in random.records(600, upTo: 9000) {
      try writer.reserve(9000).initializeMemory(as: UInt8.self, repeating: 0xFF)
      try writer.add(record)
    }
    let sealed = try #require(try writer.finish().first)
    let pack = try store.pack(sealed)
    let file = try store.contents("packs/" + sealed.id.fileName(.pack))
    var covered = [Bool](repeating: false, count: file.count)
    try pack.forEach { entry in
      let start = Int(entry.at.place)
      #expect(start % 512 == 0)
      for index in start..<start + Int(entry.at.length) { covered[index] = true }
      let end = start + Int(entry.at.length)
      #expect(file[end..<(end + 511) / 512 * 512].allSatisfy { $0 == 0 })
      return true
    }
    let records = file.indices.dropFirst(1 << 20).dropLast(64 << 10)
    #expect(records.allSatisfy { covered[$0] || file[$0] == 0 })
  }

  @Test("one digest may name a blob and a directory, and a record that comes twice is kept once")
  func sameDigest() throws {
    let store = try TestStore()
    let writer = PackWriter(try store.session())
    var random = SeededRandom(9)
    let key = random.key()
    for kind in [RecordKind.directory, .largeBlob, .blob, .directory] {
      try writer.add(Written(key: key, kind: kind, bytes: [kind.rawValue]))
    }
    for _ in 0..<200 { try writer.add(Written(key: random.key(), kind: .blob, bytes: [0])) }
    let sealed = try #require(try writer.finish().first)
    #expect(sealed.reader.count == 203 && sealed.droppedDuplicates == 1)
    let pack = try store.pack(sealed)
    #expect(try pack.bytes(key, .blobs) == [1])
    #expect(try pack.bytes(key, .directories) == [2])
    #expect(try pack.bytes(key, RecordKinds(.largeBlob)) == [3])
    #expect(try pack.find(key, RecordKinds(.chunkedBlob)) == nil)
  }

  @Test("a pack takes 16,384 records, then the next one begins")
  func recordLimit() throws {
    let store = try TestStore()
    let writer = PackWriter(try store.session())
    var random = SeededRandom(10)
    let keys = (0..<20_000).map { _ in random.key() }
    for key in keys { try writer.add(Written(key: key, kind: .directory, bytes: [1, 2, 3])) }
    let sealed = try writer.finish()
    #expect(sealed.map(\.reader.count) == [16_384, 20_000 - 16_384])
    let packs = try sealed.map { try store.pack($0) }
    for (number, key) in keys.enumerated() {
      #expect(try packs[number / 16_384].find(key, .all) != nil)
    }
    #expect(packs.allSatisfy { $0.findDamage().isEmpty })
  }

  @Test("keys that are not spread at all are found as well")
  func crowdedKeys() throws {
    let store = try TestStore()
    let writer = PackWriter(try store.session())
    let keys = (0..<3000).map { PackKey(words: (0, 0, 0, UInt64($0).byteSwapped)) }
    for key in keys.shuffled() {
      try writer.add(Written(key: key, kind: .directory, bytes: [1]))
      try writer.add(Written(key: key, kind: .chunkedBlob, bytes: [2]))
    }
    let pack = try store.pack(try #require(try writer.finish().first))
    for key in keys {
      #expect(try pack.bytes(key, .directories) == [1])
      #expect(try pack.bytes(key, .blobs) == [2])
      #expect(try pack.find(key, RecordKinds(.blob)) == nil)
    }
    #expect(try pack.find(PackKey(words: (0, 0, 0, UInt64(3000).byteSwapped)), .all) == nil)
    #expect(try pack.find(PackKey(words: (.max, 0, 0, 0)), .all) == nil)
  }

  @Test("a record may be longer than buffers and packs are, and parts of it can be read")
  func longRecord() throws {
    let store = try TestStore()
    let session = try store.session {
      $0.bufferSize = 256 << 10
      $0.targetSize = 1 << 20
    }
    var random = SeededRandom(11)
    let long = Written(key: random.key(), kind: .largeBlob, bytes: random.bytes(3_000_001))
    let small = random.records(20, upTo: 100)
    let writer = PackWriter(session)
    for record in small.prefix(10) + [long] + small.suffix(10) {
      try writer.add(record, reserving: false)
    }
    let packs = try writer.finish().map { try store.pack($0) }
    let (pack, place) = try #require(
      try packs.lazy.compactMap { pack in try pack.find(long.key, .all).map { (pack, $0) } }.first
    )
    #expect(try pack.bytes(place) == long.bytes)
    var part = [UInt8](repeating: 0, count: 100)
    let count = try part.withUnsafeMutableBytes {
      try pack.read(place, at: 2_999_950, into: $0)
    }
    #expect(count == 51 && part.prefix(51).elementsEqual(long.bytes.suffix(51)))
  }

  @Test("groups hold compressed records")
  func groups() throws {
    let store = try TestStore()
    let writer = PackWriter(try store.session())
    var random = SeededRandom(12)
    let frames = (0..<300).map { _ in random.bytes(1000) }
    var members: [(group: Int, member: PackWriter.GroupMember)] = []
    for (number, frame) in frames.enumerated() {
      let group = (0..<7).map {
        PackWriter.GroupMember(random.key(), kind: .blob, offset: UInt32(10 * $0), length: 10)
      }
      try frame.withUnsafeBytes { (bytes) throws in
        try writer.putGroup(bytes, length: 70, group)
      }
      members += group.map { (number, $0) }
    }
    let pack = try store.pack(try #require(try writer.finish().first))
    #expect(pack.findDamage().isEmpty)
    for (number, member) in members {
      let place = try #require(try pack.find(member.key, .blobs))
      #expect(place.codec == .zstdGroup && place.group == number)
      #expect(place.offsetInGroup == Int(member.offset) && place.length == 10)
      let group = try pack.group(place.group)
      var bytes = [UInt8](repeating: 0, count: Int(group.storedLength))
      try bytes.withUnsafeMutableBytes { (buffer) throws in try pack.read(group, into: buffer) }
      #expect(bytes == frames[number] && group.length == 70)
      #expect(throws: PackError.self) { try pack.bytes(place) }
    }
    #expect(throws: PackError.self) { try pack.group(300) }
  }

  @Test("a writer that is given up leaves nothing but the packs that were sealed")
  func abandoned() throws {
    let store = try TestStore()
    let session = try store.session {
      $0.bufferSize = 64 << 10
      $0.targetSize = 200 << 10
    }
    var random = SeededRandom(13)
    let writer = PackWriter(session)
    for record in random.records(10, upTo: 20_000) { try writer.add(record) }
    writer.abandon()
    #expect(throws: PackError.self) { try writer.finish() }
    #expect(try store.list("tmp").isEmpty && store.list("packs").isEmpty)
    do {
      let forgotten = PackWriter(session)
      for record in random.records(100, upTo: 10_000) { try forgotten.add(record) }
    }
    #expect(try store.list("tmp").isEmpty)
    for name in try store.list("packs") {
      #expect(try PackReader(store.bytes("packs/" + name)).findDamage().isEmpty)
    }
  }

  @Test("a pack never takes the name of another, and what failed once stays failed")
  func names() throws {
    let store = try TestStore()
    let first = PackWriter(try store.session(5))
    try first.add(Written(key: PackKey(words: (1, 2, 3, 4)), kind: .blob, bytes: [1]))
    let sealed = try #require(try first.finish().first)
    let before = try store.contents("packs/" + sealed.id.fileName(.pack))
    // A second session that was given the id of the first.
    let second = PackWriter(try store.session(5))
    try second.add(Written(key: PackKey(words: (5, 6, 7, 8)), kind: .blob, bytes: [2]))
    for _ in 0..<2 { #expect(throws: PackError.self) { try second.finish() } }
    #expect(try store.contents("packs/" + sealed.id.fileName(.pack)) == before)
    #expect(try store.list("packs").count == 1 && store.list("tmp").isEmpty)
  }

  @Test("many small packs and large ones from one writer, from several threads at once")
  func threads() throws {
    let store = try TestStore()
    let session = try store.session {
      $0.bufferSize = 64 << 10
      $0.targetSize = 300 << 10
    }
    let crew = ThreadCrew()
    let results = Guarded<[(SealedPack, Int)]>([])
    let failures = Guarded<[PackError]>([])
    for thread in 0..<4 {
      try crew.start(name: "test") {
        do {
          var random = SeededRandom(UInt64(thread))
          let writer = PackWriter(session)
          for (number, record) in random.records(500, upTo: 9000).enumerated() {
            try writer.add(record)
            if number % 50 == 0 { try writer.cut() }
          }
          let sealed = try writer.finish()
          results.withLock { list in list += sealed.map { ($0, thread) } }
        } catch {
          failures.withLock { $0.append(error as? PackError ?? .damaged("\(error)")) }
        }
      }
    }
    crew.joinAll()
    #expect(failures.withLock { $0 }.isEmpty)
    let sealed = results.withLock { $0 }
    for thread in 0..<4 {
      var random = SeededRandom(UInt64(thread))
      let packs = try sealed.filter { $0.1 == thread }.map { try store.pack($0.0) }
      for record in random.records(500, upTo: 9000) {
        let found = try packs.compactMap { try $0.bytes(record.key, RecordKinds(record.kind)) }
        #expect(found == [record.bytes])
      }
    }
  }

  @Test("a session writes its first bytes through the page cache, and later packs past it")
  func cachedFirst() throws {
    let store = try TestStore()
    let session = try store.session { $0.cachedBytes = 100_000 }
    let writer = PackWriter(session)
    var random = SeededRandom(14)
    for round in 0..<4 {
      #expect(session.prefersDirect == (round > 1))
      try writer.add(Written(key: random.key(), kind: .blob, bytes: random.bytes(60_000)))
      try writer.cut()
    }
    #expect(try writer.finish().count == 4)
    #expect(PackSession.Options().cachedBytes <= PackSession.Options().targetSize)
  }

  @Test("file names are read back, and no others are")
  func fileNames() {
    let id = PackID(session: 0x1F, number: 7)
    #expect(id.fileName(.pack) == "000000000000001f-7.pack")
    #expect(PackID.parse(fileName: "000000000000001f-7.pack")?.id == id)
    #expect(PackID.parse(fileName: "000000000000001f-7.journal")?.kind == .journal)
    for name in [
      "", ".pack", "1f-7.pack", "000000000000001f-07.pack", "000000000000001F-7.pack",
      "000000000000001f-7", "000000000000001f-7.pack.tmp", "000000000000001f--7.pack",
      "000000000000001f-7.table", "000000000000001f-99999999999999999999.pack",
    ] {
      #expect(PackID.parse(fileName: name) == nil)
    }
  }
}
