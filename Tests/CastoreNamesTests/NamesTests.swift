import Castore
import CastoreNames
import CastoreTestSupport
import Foundation
import Synchronization
import Testing

@Suite("Names in SQLite")
struct NamesTests {
  let folder: TestFolder
  let names: SQLiteNames

  init() throws {
    folder = try TestFolder()
    names = try makeNames(folder.sub("names"))
  }

  @Test("a root is there until it is removed, and is kept unless it is to be replaced")
  func roots() throws {
    #expect(try names.root("a") == nil)
    #expect(try names.putRoot("a", node(1), replace: false) == nil)
    #expect(try names.root("a") == node(1))
    #expect(try names.putRoot("a", node(1), replace: false) == node(1))
    let error = serviceError { try names.putRoot("a", node(2), replace: false) }
    #expect(error?.code == .invalidArgument)
    #expect(try names.root("a") == node(1))
    #expect(try names.putRoot("a", node(2), replace: true) == node(1))
    #expect(try names.root("a") == node(2))
    #expect(try names.removeRoot("a") == node(2))
    #expect(try names.removeRoot("a") == nil)
    #expect(try names.root("a") == nil)
    #expect(try names.verify() == [])
  }

  @Test("names of any bytes are listed in bytewise order")
  func order() throws {
    let bytes: [[UInt8]] = [[0xFF], [0x61], [0x61, 0x62], [0x41], [0x80, 0x01], [0x01], [0x20]]
    for (index, bytes) in bytes.enumerated() {
      try names.putRoot(PathComponent(bytes), node(index), replace: false)
    }
    for pageSize in [1, 2, 3, 100] {
      let all = try names.allRoots(pageSize: pageSize)
      #expect(all.map(\.name) == all.map(\.name).sorted())
      #expect(all.count == bytes.count)
    }
    #expect(try names.roots(after: nil, limit: 0).isEmpty)
  }

  @Test("100,000 roots are named at once and listed in pages")
  func many() throws {
    try names.write { (transaction) throws(ServiceError) in
      for index in 0..<100_000 {
        let name = PathComponent(stringLiteral: "root-\(index)")
        try transaction.putRoot(name, node(index), replace: false)
      }
    }
    let all = try names.allRoots(pageSize: 1000)
    #expect(all.count == 100_000)
    #expect(Set(all).count == 100_000)
    #expect(try names.counts().roots == 100_000)
    #expect(try names.references().count == 100_000)
  }

  @Test("what is done together happens together or not at all")
  func together() throws {
    try names.putRoot("a", node(1), replace: false)
    let version = try names.rootsVersion()
    let error = serviceError {
      try names.write { (transaction) throws(ServiceError) in
        try transaction.putRoot("b", node(2), replace: false)
        try transaction.pin(node(3), note: [])
        try transaction.putRoot("a", node(4), replace: false)
      }
    }
    #expect(error?.code == .invalidArgument)
    #expect(try names.root("b") == nil)
    #expect(try names.pins(after: nil, limit: 10).isEmpty)
    #expect(try names.rootsVersion() == version)
    #expect(try names.verify() == [])
  }

  @Test("versions move with each change of theirs, whoever makes it, and with nothing else")
  func versions() throws {
    let other = try SQLiteNames(opening: names.path)
    let reader = try SQLiteNames(opening: names.path, isReadOnly: true)
    var seen: Set<UInt64> = []
    func changed() throws -> Bool {
      let version = try reader.rootsVersion()
      #expect(try names.rootsVersion() == version)
      #expect(try other.rootsVersion() == version)
      return seen.insert(version).inserted
    }
    #expect(try changed())
    #expect(try !changed())
    try other.putRoot("a", node(1), replace: false)
    #expect(try changed())
    try names.putRoot("a", node(1), replace: true)
    #expect(try !changed())
    try names.putRoot("a", node(2), replace: true)
    #expect(try changed())
    try other.setPathInfo([1], to: [2], node: node(1))
    try other.pin(node(1), note: [])
    #expect(try !changed())
    try other.removeRoot("a")
    #expect(try changed())

    let infos = try reader.pathInfosVersion()
    try names.setPathInfo([1], to: [2], node: node(1))
    #expect(try reader.pathInfosVersion() == infos)
    try names.setPathInfo([1], to: [3], node: node(1))
    #expect(try reader.pathInfosVersion() != infos)
  }

  @Test("a lost or damaged counter of changes hides no change")
  func counter() throws {
    let reader = try SQLiteNames(opening: names.path, isReadOnly: true)
    let path = names.path + ".changes"
    for round in 0..<6 {
      let version = try reader.rootsVersion()
      switch round % 3 {
      case 0: unlink(path)
      case 1: try Data([1, 2, 3]).write(to: URL(fileURLWithPath: path))
      default: truncate(path, 0)
      }
      #expect(try reader.rootsVersion() == version)
      try names.putRoot(name("r\(round)"), node(round), replace: false)
      #expect(try reader.rootsVersion() != version)
      let fresh = try SQLiteNames(opening: names.path).rootsVersion()
      #expect(try reader.rootsVersion() == fresh)
    }
  }

  @Test("path infos are bytes under keys, with the node that they refer to")
  func pathInfos() throws {
    #expect(try names.pathInfo([1]) == nil)
    for index: UInt8 in [3, 1, 2] {
      try names.setPathInfo([index], to: [index, index], node: node(Int(index)))
    }
    #expect(try names.pathInfo([2])?.info == [2, 2])
    #expect(try names.pathInfo([2])?.node == node(2))
    #expect(try names.pathInfos(after: nil, limit: 2).map(\.key) == [[1], [2]])
    #expect(try names.pathInfos(after: [2], limit: 2).map(\.key) == [[3]])
    #expect(try names.removePathInfo([2]))
    #expect(try !names.removePathInfo([2]))
    #expect(try names.pathInfo([2]) == nil)
    for key in [[], [UInt8](repeating: 1, count: 512)] {
      let error = serviceError { try names.setPathInfo(key, to: [], node: node(1)) }
      #expect(error?.code == .invalidArgument)
    }
    try names.setPathInfo([9], to: [], node: .symlink(target: "x"))
    #expect(try names.pathInfo([9])?.info == [])
    #expect(try names.verify() == [])
  }

  @Test("what is kept are roots, path infos, pins, and what lost its name lately")
  func references() throws {
    let path = folder.sub("timed")
    try SQLiteNames.create(at: path)
    let clock = Clock()
    let names = try SQLiteNames(opening: path, clock: { clock.now })
    try names.putRoot("a", node(1), replace: false)
    try names.putRoot("link", .symlink(target: "x"), replace: false)
    try names.setPathInfo([7], to: [1], node: node(2))
    try names.pin(node(3), note: [5])
    clock.now = 2000
    try names.putRoot("a", node(4), replace: true)
    try names.removeRoot("link")
    clock.now = 3000
    try names.setPathInfo([7], to: [2], node: node(5))
    try names.removePathInfo([7])
    try names.unpin(node(3))
    #expect(try names.pin(node(6), note: [1]))
    #expect(try !names.pin(node(6), note: [2]))
    #expect(try names.pins(after: nil, limit: 9).map(\.note) == [[2]])

    #expect(try names.references().map(\.node) == [node(4), node(6)])
    let recent = try names.references(unnamedSince: 3000).filter { $0.unnamed != nil }
    #expect(recent.map(\.node) == [node(2), node(5), node(3)])
    #expect(recent.map(\.source) == [.pathInfo, .pathInfo, .pin])
    #expect(recent.map(\.name) == [[7], [7], [5]])
    let all = try names.references(unnamedSince: 0).filter { $0.unnamed != nil }
    #expect(all.map(\.node) == [node(1), node(2), node(5), node(3)])
    #expect(all.first?.unnamed == 2000)
    let counts = try names.counts()
    #expect((counts.roots, counts.pathInfos, counts.pins, counts.unnamed) == (1, 0, 1, 4))

    #expect(try names.forgetUnnamed(before: 2001) == 1)
    #expect(try names.references(unnamedSince: 0).filter { $0.unnamed != nil }.count == 3)
    #expect(try names.forgetUnnamed(before: 9999) == 3)
    #expect(try names.forgetUnnamed(before: 9999) == 0)
    #expect(try names.verify() == [])
  }

  @Test("threads read and write at once")
  func threads() throws {
    let failures = Atomic<Int>(0)
    DispatchQueue.concurrentPerform(iterations: 8) { worker in
      do {
        for index in 0..<25 {
          try names.putRoot(name("w\(worker)-\(index)"), node(index), replace: false)
          guard try names.root(name("w\(worker)-\(index)")) == node(index) else {
            throw ServiceError(.notFound, "lost")
          }
          _ = try names.roots(after: nil, limit: 10)
        }
      } catch {
        failures.wrappingAdd(1, ordering: .relaxed)
      }
    }
    #expect(failures.load(ordering: .relaxed) == 0)
    #expect(try names.references().count == 200)
    #expect(try names.verify() == [])
  }

  @Test("a file is made whole, private, and once")
  func creation() throws {
    let path = folder.sub("new")
    try SQLiteNames.create(at: path, permissions: 0o660)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().contains("new")
    )
    let names = try SQLiteNames(opening: path)
    try names.putRoot("a", node(1), replace: false)
    for suffix in ["", "-wal", "-shm", ".changes"] {
      var status = stat()
      #expect(stat(path + suffix, &status) == 0, "\(suffix)")
      #expect(status.st_mode & 0o777 == 0o660, "\(suffix)")
    }
    try SQLiteNames.create(at: path)
    #expect(try names.root("a") == node(1))
    var status = stat()
    #expect(stat(self.names.path, &status) == 0 && status.st_mode & 0o777 == 0o600)
    let left = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    #expect(!left.contains { $0.contains(".new-") })
  }
}

/// A clock that a test turns.
private final class Clock: Sendable {
  private let seconds = Atomic<Int64>(1000)

  var now: Int64 {
    get { seconds.load(ordering: .relaxed) }
    set { seconds.store(newValue, ordering: .relaxed) }
  }
}
