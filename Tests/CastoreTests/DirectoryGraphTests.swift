import Castore
import CastoreTestSupport
import Testing

@Suite("Closures of directories")
struct DirectoryGraphTests {
  private let a = Fixtures.directoryA.directory
  private let b = Fixtures.directoryB.directory
  private let c = Fixtures.directoryC.directory
  private let d = Fixtures.directoryD.directory

  private func closure(
    _ directories: [Directory],
    _ order: DirectoryGraph.Order,
    limits: DirectoryGraph.Limits = .init()
  ) throws(DirectoryGraphError) -> DirectoryClosure {
    var graph = DirectoryGraph(order, limits: limits)
    for (number, directory) in directories.enumerated() {
      // Both forms of a directory count the same.
      if number % 2 == 0 {
        try graph.add(directory)
      } else {
        try graph.add(DirectoryIndex(directory))
      }
    }
    return try graph.validate()
  }

  @Test("uploads come leaves first")
  func uploads() throws {
    let closure = try closure([a, b, a, d], .leavesToRoot)
    #expect(closure.root == d.digest)
    #expect(closure.count == 3)
    #expect(closure.leavesToRoot().map(\.directory) == [a, b, d])
    #expect(closure.rootToLeaves().map(\.directory) == [d, a, b])
    #expect(closure.rootToLeaves().map(\.digest) == [d, a, b].map(\.digest))
    #expect(try self.closure([a], .leavesToRoot).root == a.digest)
  }

  @Test("downloads come root first")
  func downloads() throws {
    for order in [[d, b, a], [d, a, b], [d, b, a, a, d]] {
      for root in [nil, d.digest] {
        let closure = try closure(order, .rootToLeaves(expecting: root))
        #expect(closure.root == d.digest)
        #expect(closure.leavesToRoot().map(\.directory) == [a, b, d])
        #expect(closure.rootToLeaves().map(\.directory) == [d, a, b])
      }
    }
  }

  @Test("what is no closure of an upload is refused, with the reason")
  func refusedUploads() {
    #expect(throws: DirectoryGraphError.empty) { try closure([], .leavesToRoot) }
    #expect(throws: DirectoryGraphError.unknownReference(name: "a", digest: a.digest)) {
      try closure([b], .leavesToRoot)
    }
    #expect(throws: DirectoryGraphError.unknownReference(name: "b", digest: b.digest)) {
      try closure([a, d], .leavesToRoot)
    }
    #expect(throws: DirectoryGraphError.noSingleRoot([c.digest, b.digest])) {
      try closure([a, c, b], .leavesToRoot)
    }
    let wrong = Directory(fixture: ["x": .directory(digest: a.digest, size: 42)])
    let error = #expect(throws: DirectoryGraphError.self) {
      try closure([a, wrong], .leavesToRoot)
    }
    #expect(error == .wrongSize(name: "x", specified: 42, recorded: 0))
    #expect(error?.description == #""x" has wrong size, specified 42, recorded 0"#)
  }

  @Test("what is no closure of a download is refused, with the reason")
  func refusedDownloads() {
    let any = DirectoryGraph.Order.rootToLeaves(expecting: nil)
    #expect(throws: DirectoryGraphError.empty) { try closure([], any) }
    #expect(throws: DirectoryGraphError.unexpectedDirectory(b.digest)) { try closure([c, b], any) }
    #expect(throws: DirectoryGraphError.unexpectedDirectory(a.digest)) {
      try closure([a], .rootToLeaves(expecting: b.digest))
    }
    #expect(throws: DirectoryGraphError.incomplete(missing: a.digest, count: 1)) {
      try closure([d, b], any)
    }
    let wrong = Directory(fixture: ["x": .directory(digest: a.digest, size: 42)])
    #expect(throws: DirectoryGraphError.wrongSize(name: "x", specified: 42, recorded: 0)) {
      try closure([wrong, a], any)
    }
    // Stated again, wrongly, after the child came.
    let late = Directory(
      fixture: ["1": a.node(), "2": Directory(fixture: ["x": wrong.entries[0].node]).node()]
    )
    let inner = Directory(fixture: ["x": wrong.entries[0].node])
    #expect(throws: DirectoryGraphError.wrongSize(name: "x", specified: 42, recorded: 0)) {
      try closure([late, a, inner], any)
    }
  }

  @Test("a size by either rule is right, also both for one directory")
  func bothRules() throws {
    let keep = Fixtures.withKeep.directory
    let both = Directory(fixture: ["1": keep.node(), "2": keep.node(rule: .snix)])
    #expect(try closure([keep, both], .leavesToRoot).root == both.digest)
    #expect(try closure([both, keep], .rootToLeaves(expecting: nil)).root == both.digest)
    let more = Directory(
      fixture: [
        "1": keep.node(), "2": keep.node(rule: .snix),
        "3": .directory(digest: keep.digest, size: 3),
        "4": .directory(digest: keep.digest, size: 4),
      ]
    )
    #expect(throws: DirectoryGraphError.self) { try closure([keep, more], .leavesToRoot) }
    #expect(throws: DirectoryGraphError.self) {
      try closure([more, keep], .rootToLeaves(expecting: nil))
    }
  }

  @Test("what is held has a limit")
  func limits() throws {
    let two = DirectoryGraph.Limits(directoryCount: 2)
    #expect(try closure([a, b], .leavesToRoot, limits: two).count == 2)
    #expect(throws: DirectoryGraphError.tooLarge) {
      try closure([a, b, d], .leavesToRoot, limits: two)
    }
    #expect(throws: DirectoryGraphError.tooLarge) {
      try closure([d], .rootToLeaves(expecting: nil), limits: two)
    }
    let bytes = DirectoryGraph.Limits(byteCount: b.encoded().count)
    #expect(try closure([a, b], .leavesToRoot, limits: bytes).count == 2)
    #expect(throws: DirectoryGraphError.tooLarge) {
      try closure([a, b, d], .leavesToRoot, limits: bytes)
    }
  }

  @Test("a very deep tree is no danger to the stack")
  func deep() throws {
    var chain = [a]
    for _ in 0..<20_000 {
      let node = Node.directory(
        digest: chain[chain.count - 1].digest,
        size: chain.last?.size() ?? 0
      )
      chain.append(Directory(fixture: ["x": node]))
    }
    let closure = try closure(chain, .leavesToRoot)
    #expect(closure.leavesToRoot().map(\.digest).first == a.digest)
    #expect(closure.rootToLeaves().map(\.digest).last == a.digest)
  }
}
