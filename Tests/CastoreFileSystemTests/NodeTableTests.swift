import Castore
import Glibc
import Platform
import Testing

@testable import CastoreFileSystem

@Suite("The node table")
struct NodeTableTests {
  private func digest(_ number: Int) -> B3Digest {
    B3Digest(hashing: [UInt8]("\(number)".utf8))
  }

  @Test("equal content shares a node, directories never do")
  func sharing() throws {
    let table = NodeTable()
    let file = NodeKey.shared(.file, digest(1))
    let id = try table.acquire(file, size: 1)
    #expect(try table.acquire(file, size: 1) == id)
    #expect(try table.acquire(.shared(.executable, digest(1)), size: 1) != id)
    #expect(try table.acquire(file, size: 2) != id)
    let first = try table.acquire(.placed(.directory, digest(1), parent: 1, position: 0), size: 1)
    let second = try table.acquire(.placed(.directory, digest(1), parent: 1, position: 1), size: 1)
    let again = try table.acquire(.placed(.directory, digest(1), parent: 1, position: 0), size: 1)
    #expect(first != second)
    #expect(first == again)
    #expect(table.count == 5)
  }

  @Test("a node without a place leaves with its last lookup, and its id never returns")
  func forgetting() throws {
    let table = NodeTable()
    var seen: Set<UInt64> = []
    for _ in 0..<10_000 {
      let id = try table.acquire(.shared(.file, digest(1)), size: 7)
      #expect(try table.acquire(.shared(.file, digest(1)), size: 7) == id)
      #expect(seen.insert(id).inserted)
      table.forget(id, lookups: 1)
      #expect(table.record(id)?.size == 7)
      table.forget(id, lookups: 1)
      #expect(table.record(id) == nil)
    }
    #expect(table.count == 0)
  }

  @Test("a node with a place gets the id of its place, each time")
  func places() throws {
    let table = NodeTable()
    let key = NodeKey.shared(.file, digest(1))
    let place = NodePlace(root: 7).child(at: 5, size: 0, within: 10)
    let id = try table.acquire(key, size: 7, place: place)
    #expect(NodePlace(id: id) == place)
    // Known by another place, it keeps the id that it has.
    #expect(try table.acquire(key, size: 7, place: NodePlace(root: 8)) == id)
    table.forget(id, lookups: 2)
    let other = try table.acquire(key, size: 7, place: NodePlace(root: 8))
    #expect(NodePlace(id: other) == NodePlace(root: 8))
    // Demanded, there are two nodes of equal content.
    #expect(try table.acquire(key, size: 7, place: place, as: id) == id)
    #expect(try table.acquire(key, size: 7, place: place, as: id) == id)
    #expect(table.count == 2)
    for wrong in [id ^ 1, id ^ 8, other] {
      #expect(throws: Errno(ESTALE)) {
        try table.acquire(key, size: 7, place: place, as: wrong)
      }
    }
    #expect(throws: Errno(ESTALE)) { try table.acquire(key, size: 8, place: place, as: id) }
    table.forget(id, lookups: 2)
    table.forget(other, lookups: 1)
    #expect(table.count == 0)
  }

  @Test("a directory stays for as long as one below it does")
  func parents() throws {
    let table = NodeTable()
    let top = NodeKey.placed(.directory, digest(1), parent: 1, position: 0)
    let parent = try table.acquire(top, size: 1)
    let below = NodeKey.placed(.directory, digest(2), parent: parent, position: 0)
    let child = try table.acquire(below, size: 1)
    let grandchild = try table.acquire(
      .placed(.directory, digest(3), parent: child, position: 0),
      size: 1
    )
    // As a client that always forgets the way back does.
    for _ in 0..<1000 {
      table.forget(parent, lookups: 1)
      table.forget(child, lookups: 1)
      #expect(table.record(child)?.parent == parent)
      #expect(try table.acquire(top, size: 1) == parent)
      #expect(try table.acquire(below, size: 1) == child)
    }
    #expect(table.count == 3)
    table.forget(parent, lookups: .max)
    table.forget(child, lookups: .max)
    #expect(table.count == 3)
    table.forget(grandchild, lookups: 1)
    #expect(table.count == 0)
    #expect(throws: Errno(ESTALE)) { try table.acquire(below, size: 1) }
    #expect(table.count == 0)
  }

  @Test("ids that were never handed out, and counts that are too high, do no harm")
  func hostile() throws {
    let table = NodeTable()
    let id = try table.acquire(.shared(.file, digest(1)), size: 7)
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
    let id = try target.withUnsafeBytes {
      try table.acquire(
        .shared(.symlink, B3Digest(hashing: target)),
        size: UInt64(target.count),
        target: $0
      )
    }
    let copy = try [UInt8](unsafeUninitializedCapacity: 4095) {
      $1 = try table.copyTarget(id, into: UnsafeMutableRawBufferPointer($0))
    }
    #expect(copy == target)
    table.forget(id, lookups: 1)
    #expect(throws: Errno(ESTALE)) {
      try [UInt8](unsafeUninitializedCapacity: 4095) {
        $1 = try table.copyTarget(id, into: UnsafeMutableRawBufferPointer($0))
      }
    }
  }

  @Test("many nodes come, are found, and go, in any order")
  func many() throws {
    let table = NodeTable()
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<3 {
      var ids: [Int: UInt64] = [:]
      for number in 0..<20_000 {
        ids[number] = try table.acquire(.shared(.file, digest(number)), size: UInt64(number))
      }
      #expect(Set(ids.values).count == 20_000)
      for (number, id) in ids { #expect(table.record(id)?.digest == digest(number)) }
      for id in ids.values.shuffled(using: &generator) { table.forget(id, lookups: 1) }
      #expect(table.count == 0)
    }
  }
}
