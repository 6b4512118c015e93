import Castore
import Testing

@testable import CastoreFileSystem

@Suite("The node table")
struct NodeTableTests {
  private func digest(_ number: Int) -> B3Digest {
    B3Digest(hashing: [UInt8]("\(number)".utf8))
  }

  @Test("equal content shares a node, directories never do")
  func sharing() {
    let table = NodeTable()
    let file = NodeKey.shared(.file, digest(1))
    #expect(table.acquire(file, size: 1) == table.acquire(file, size: 1))
    #expect(table.acquire(file, size: 1) != table.acquire(.shared(.executable, digest(1)), size: 1))
    #expect(table.acquire(file, size: 1) != table.acquire(file, size: 2))
    let first = table.acquire(.placed(.directory, digest(1), parent: 1, position: 0), size: 1)
    let second = table.acquire(.placed(.directory, digest(1), parent: 1, position: 1), size: 1)
    let again = table.acquire(.placed(.directory, digest(1), parent: 1, position: 0), size: 1)
    #expect(first != second)
    #expect(first == again)
    #expect(table.count == 5)
  }

  @Test("a node leaves with its last lookup, and its id never returns")
  func forgetting() throws {
    let table = NodeTable()
    var seen: Set<UInt64> = []
    for _ in 0..<10_000 {
      let id = try #require(table.acquire(.shared(.file, digest(1)), size: 7))
      #expect(table.acquire(.shared(.file, digest(1)), size: 7) == id)
      #expect(seen.insert(id).inserted)
      table.forget(id, lookups: 1)
      #expect(table.record(id)?.size == 7)
      table.forget(id, lookups: 1)
      #expect(table.record(id) == nil)
    }
    #expect(table.count == 0)
  }

  @Test("ids that were never handed out, and counts that are too high, do no harm")
  func hostile() throws {
    let table = NodeTable()
    let id = try #require(table.acquire(.shared(.file, digest(1)), size: 7))
    for wrong in [0, 1, 7, UInt64.max, id ^ 1, id ^ 8, id ^ (1 << 32), id | 0xFFFF_FFF8] {
      #expect(wrong == id || table.record(wrong) == nil)
      if wrong != id { table.forget(wrong, lookups: .max) }
    }
    #expect(table.record(id) != nil)
    table.forget(id, lookups: .max)
    #expect(table.record(id) == nil)
    #expect(table.count == 0)
  }

  @Test("links keep their target")
  func targets() throws {
    let table = NodeTable()
    let target = [UInt8]("../somewhere".utf8)
    let id = try #require(
      target.withUnsafeBytes {
        table.acquire(
          .shared(.symlink, B3Digest(hashing: target)),
          size: UInt64(target.count),
          target: $0
        )
      }
    )
    let copy = [UInt8](unsafeUninitializedCapacity: 4095) {
      $1 = table.copyTarget(id, into: UnsafeMutableRawBufferPointer($0)) ?? 0
    }
    #expect(copy == target)
    table.forget(id, lookups: 1)
    #expect(
      [UInt8](unsafeUninitializedCapacity: 4095) {
        $1 = table.copyTarget(id, into: UnsafeMutableRawBufferPointer($0)) ?? 0
      }.isEmpty
    )
  }

  @Test("many nodes come, are found, and go, in any order")
  func many() throws {
    let table = NodeTable()
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<3 {
      var ids: [Int: UInt64] = [:]
      for number in 0..<20_000 {
        ids[number] = table.acquire(.shared(.file, digest(number)), size: UInt64(number))
      }
      #expect(Set(ids.values).count == 20_000)
      for (number, id) in ids { #expect(table.record(id)?.digest == digest(number)) }
      for id in ids.values.shuffled(using: &generator) { table.forget(id, lookups: 1) }
      #expect(table.count == 0)
    }
  }
}
