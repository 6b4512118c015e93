import Castore
import CastoreNames
import CastoreTestSupport
import Foundation
import Testing

@Suite("Damaged names")
struct DamageTests {
  let folder: TestFolder
  let path: String

  init() throws {
    folder = try TestFolder(inMemory: true)
    path = folder.sub("names")
  }

  private func fill(_ names: SQLiteNames) throws {
    try names.write { (transaction) throws(ServiceError) in
      for index in 0..<300 {
        let name = PathComponent(stringLiteral: "root-\(index)")
        try transaction.putRoot(name, node(index), replace: false)
      }
      for index in 0..<100 {
        let info = [UInt8](repeating: UInt8(index), count: 50)
        try transaction.setPathInfo([UInt8(index)], to: info, node: node(1000 + index))
        try transaction.pin(node(2000 + index), note: info)
      }
    }
    for index in 0..<20 {
      try names.putRoot(name("root-\(index)"), node(5000 + index), replace: true)
    }
  }

  private func kept(_ names: SQLiteNames) throws -> [Node] {
    try names.references(unnamedSince: 0).map(\.node)
  }

  // Either all is there, or the error says that something is wrong, and with which file.
  private func check(_ path: String, _ expected: [Node], _ what: String) throws {
    do {
      let names = try SQLiteNames(opening: path)
      #expect(try kept(names) == expected, "\(what)")
      _ = try names.verify()
    } catch let error as ServiceError {
      #expect(error.code == .corrupt, "\(what): \(error)")
      #expect(error.message.contains(path), "\(what): \(error)")
    }
  }

  private enum Fault: CaseIterable {
    case flip, zeroPage, swapPages, copyPage, truncate, noise
  }

  private func apply(
    _ fault: Fault,
    to data: inout Data,
    _ generator: inout SeededGenerator
  ) -> String {
    let page = 4096
    let pages = max(1, data.count / page)
    let (one, other) = (generator.next(below: pages) * page, generator.next(below: pages) * page)
    switch fault {
    case .flip:
      let position = generator.next(below: data.count)
      data[position] ^= 1 << UInt8(generator.next(below: 8))
      return "flip at \(position)"
    case .zeroPage:
      data.replaceSubrange(one..<one + page, with: Data(count: page))
      return "zero page at \(one)"
    case .swapPages:
      let (left, right) = (data[one..<one + page], data[other..<other + page])
      data.replaceSubrange(one..<one + page, with: Data(right))
      data.replaceSubrange(other..<other + page, with: Data(left))
      return "swap \(one), \(other)"
    case .copyPage:
      data.replaceSubrange(one..<one + page, with: Data(data[other..<other + page]))
      return "copy \(other) to \(one)"
    case .truncate:
      let length = generator.next(below: data.count)
      data = data.prefix(length)
      return "truncate to \(length)"
    case .noise:
      data.replaceSubrange(one..<one + page, with: Data(generator.bytes(page)))
      return "noise at \(one)"
    }
  }

  @Test("of every fault of the file, the whole or an error that names it is what one gets")
  func faults() throws {
    let names = folder.sub("whole")
    var expected: [Node] = []
    do {
      let whole = try makeNames(names)
      try fill(whole)
      expected = try kept(whole)
      #expect(try whole.verify() == [])
    }
    #expect(!FileManager.default.fileExists(atPath: names + "-wal"))
    let good = try #require(FileManager.default.contents(atPath: names))
    #expect(good.count > 15 * 4096)
    var generator = SeededGenerator()
    var found = 0
    for round in 0..<1200 {
      let fault = Fault.allCases[round % Fault.allCases.count]
      var data = good
      let what = apply(fault, to: &data, &generator)
      try copyNames(names, to: path)
      try data.write(to: URL(fileURLWithPath: path))
      try check(path, expected, "\(what), seed \(generator.seed)")
      let isFound = serviceError { try kept(SQLiteNames(opening: path)) } != nil
      if isFound { found += 1 }
      // A page or more that is wrong is nowhere without consequence but in what is free.
      if isFound, let names = try? SQLiteNames(opening: path) {
        #expect(try !names.verify().isEmpty, "\(what), seed \(generator.seed)")
      }
    }
    #expect(found > 600)
  }

  @Test("every bit of a root's row counts")
  func everyBit() throws {
    let names = folder.sub("whole")
    do { try makeNames(names).putRoot("some-name", node(77), replace: false) }
    let good = try #require(FileManager.default.contents(atPath: names))
    let encoding = Data(node(77).encoded())
    let place = try #require(good.range(of: encoding))
    let row = place.lowerBound - 9..<place.upperBound + 8
    for position in row {
      for bit in 0..<8 {
        var data = good
        data[position] ^= 1 << UInt8(bit)
        try copyNames(names, to: path)
        try data.write(to: URL(fileURLWithPath: path))
        let error = serviceError { try SQLiteNames(opening: path).references() }
        #expect(error?.code == .corrupt, "bit \(bit) of byte \(position)")
        #expect(serviceError { try SQLiteNames(opening: path).verify() } == nil)
      }
    }
  }

  @Test("of every fault of the files beside it, too")
  func faultsOfTheLog() throws {
    let names = folder.sub("whole")
    let crashed = folder.sub("crashed")
    var expected: [Node] = []
    do {
      let whole = try makeNames(names)
      try fill(whole)
      expected = try kept(whole)
      // As a process that is killed leaves it: much is only in the log.
      try copyNames(names, to: crashed)
    }
    var generator = SeededGenerator()
    var lost = 0
    for round in 0..<600 {
      let suffix = ["-wal", "-shm", ".changes"][round % 3]
      try copyNames(crashed, to: path)
      var what = "gone"
      if round % 30 < 3 {
        unlink(path + suffix)
      } else {
        var data = try #require(FileManager.default.contents(atPath: path + suffix))
        let faults = data.count < 4096 ? [Fault.flip, .truncate] : Fault.allCases
        what = apply(faults[round / 3 % faults.count], to: &data, &generator)
        try data.write(to: URL(fileURLWithPath: path + suffix))
      }
      try check(path, expected, "\(suffix): \(what), seed \(generator.seed)")
      if serviceError({ try SQLiteNames(opening: path) }) != nil {
        lost += 1
        #expect(suffix == "-wal", "\(suffix): \(what), seed \(generator.seed)")
      }
    }
    #expect(lost > 50)
  }

  @Test("an older file than was written is an error that says what to do")
  func older() throws {
    let backup = folder.sub("backup")
    do {
      try fill(makeNames(path))
      try copyNames(path, to: backup)
      try SQLiteNames(opening: path).putRoot("later", node(1), replace: false)
    }
    let old = try #require(FileManager.default.contents(atPath: backup))
    try old.write(to: URL(fileURLWithPath: path))
    let error = serviceError { try SQLiteNames(opening: path) }
    #expect(error?.code == .corrupt)
    #expect(error?.message.contains("remove \(path).changes") == true)
    unlink(path + ".changes")
    #expect(try SQLiteNames(opening: path).root("later") == nil)
    try SQLiteNames(opening: path).putRoot("again", node(1), replace: false)
  }

  @Test("a file that is gone, empty, replaced or none is an error, for who has it open as well")
  func missing() throws {
    let gone = serviceError { try SQLiteNames(opening: path) }
    #expect(gone?.code == .corrupt)
    #expect(gone?.message.contains(path) == true)

    let names = try makeNames(path)
    try names.putRoot("a", node(1), replace: false)
    for suffix in ["", "-wal", "-shm"] { rename(path + suffix, folder.sub("away") + suffix) }
    let errors = [
      serviceError { try names.root("a") },
      serviceError { try names.references() },
      serviceError { try names.putRoot("b", node(1), replace: false) },
      serviceError { try names.counts() },
    ]
    for error in errors { #expect(error?.code == .corrupt, "\(String(describing: error))") }

    for bytes in [[], [UInt8](repeating: 0, count: 8192), [UInt8]("no database at all".utf8)] {
      unlink(path + "-wal")
      unlink(path + "-shm")
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      #expect(serviceError { try SQLiteNames(opening: path) }?.code == .corrupt)
      #expect(serviceError { try names.references() }?.code == .corrupt)
      #expect(serviceError { try names.removeRoot("a") }?.code == .corrupt)
    }
    unlink(path)
    mkdir(path, 0o700)
    #expect(serviceError { try SQLiteNames(opening: path) }?.code == .corrupt)
    rmdir(path)
    symlink("/dev/zero", path)
    #expect(serviceError { try SQLiteNames(opening: path) }?.code == .corrupt)
  }
}

extension SeededGenerator {
  fileprivate mutating func next(below limit: Int) -> Int {
    Int(next() % UInt64(limit))
  }
}
