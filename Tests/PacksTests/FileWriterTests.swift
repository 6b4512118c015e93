import Foundation
import Glibc
import Packs
import Testing

@Suite("Files written from front to back")
struct FileWriterTests {
  private func allocated(_ store: TestStore, _ name: String) throws -> Int {
    var status = stat()
    try #require(lstat(store.path + "/" + name, &status) == 0)
    return Int(status.st_blocks) * 512
  }

  @Test(
    "a file has just the bytes that were written",
    arguments: [0, 1, 4095, 4096, 65_536, 262_144, 1_000_003],
    [true, false]
  )
  func bytes(length: Int, isDirect: Bool) throws {
    let store = try TestStore()
    let session = try store.session { $0.bufferSize = 256 << 10 }
    var random = SeededRandom(UInt64(length))
    let bytes = random.bytes(length)
    let writer = FileWriter(session, isDirect: isDirect, leavesHoles: false)
    var done = 0
    while done < length {
      let count = min(length - done, Int.random(in: 1...100_000, using: &random))
      if random.next() % 2 == 0 {
        let place = try writer.reserve(100_000)
        place.copyBytes(from: bytes[done..<done + count])
        writer.advance(count)
      } else {
        try bytes.withUnsafeBytes { (all) throws in
          try writer.append(UnsafeRawBufferPointer(rebasing: all[done..<done + count]))
        }
      }
      done += count
    }
    #expect(writer.count == length)
    try writer.sync()
    try writer.publish(in: store.folder("packs"), as: "a")
    #expect(try store.contents("packs/a") == bytes)
    #expect(try store.list("tmp").isEmpty)
  }

  @Test("whole blocks of zeros become holes, wherever they are", arguments: [true, false])
  func holes(isDirect: Bool) throws {
    let store = try TestStore()
    let session = try store.session { $0.bufferSize = 256 << 10 }
    var random = SeededRandom(1)
    var bytes = [UInt8](repeating: 0, count: 3_000_000)
    for start in [0, 700_000, 2_000_000] {
      bytes.replaceSubrange(start..<start + 1000, with: random.bytes(1000))
    }
    let writer = FileWriter(session, isDirect: isDirect, leavesHoles: true)
    try bytes.withUnsafeBytes { (all) throws in try writer.append(all) }
    try writer.sync()
    try writer.publish(in: store.folder("packs"), as: "a")
    #expect(try store.contents("packs/a") == bytes)
    #expect(try allocated(store, "packs/a") <= 4 * 65_536)
  }

  @Test("a file without its name is gone with its writer, and takes no name that is taken")
  func unpublished() throws {
    let store = try TestStore()
    let session = try store.session()
    for round in 0..<3 {
      let writer = FileWriter(session, isDirect: true, leavesHoles: false)
      try [UInt8(round)].withUnsafeBytes { (all) throws in try writer.append(all) }
      try writer.sync()
      #expect(try store.list("tmp").count == 1)
      if round == 1 { try writer.publish(in: store.folder("packs"), as: "a") }
      if round == 2 {
        #expect(throws: PackError.self) { try writer.publish(in: store.folder("packs"), as: "a") }
      }
    }
    #expect(try store.list("tmp").isEmpty)
    #expect(try store.contents("packs/a") == [1])
  }

  @Test("where the file system has no direct I/O, files are written all the same")
  func withoutDirect() throws {
    // The kernel refuses it by giving an error at open or at the first write; memory files do or did.
    guard let store = try? TestStore(in: "/dev/shm") else {
      Issue.record("/dev/shm is needed")
      return
    }
    let session = try store.session { $0.bufferSize = 64 << 10 }
    var random = SeededRandom(3)
    let records = random.records(100, upTo: 10_000)
    let writer = PackWriter(session)
    for record in records { try writer.add(record) }
    let pack = try store.pack(try #require(try writer.finish().first))
    for record in records {
      #expect(try pack.bytes(record.key, RecordKinds(record.kind)) == record.bytes)
    }
  }
}
