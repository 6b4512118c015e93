import Castore
import CastoreTestSupport
import FUSE
import Foundation
import Logging
import Platform
import Testing

@testable import CastoreFileSystem

/// A session over services in memory, without a kernel.
private struct SessionFixture {
  let services: GatedServices
  let roots = MemoryRootNodes()
  let fileSystem: CastoreFileSystem
  let session: Session
  let client = WireClient()
  let worker: Worker

  /// - Parameter isLocal: Whether everything is at hand, or comes from tasks.
  init(isLocal: Bool) {
    let memory = MemoryBlobService()
    let directories = MemoryDirectoryService()
    services = GatedServices(memory, directories)
    fileSystem = CastoreFileSystem(
      blobs: isLocal ? memory as any BlobService : services,
      directories: isLocal ? directories as any DirectoryService : services,
      roots: roots,
      logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
    )
    session = Session(fileSystem: fileSystem)
    worker = session.makeWorker(channel: client)
    client.initialize(worker)
  }

  /// Stores a directory.
  ///
  /// - Parameter size: What is said to be its size, if that is not the truth.
  func directory(_ entries: [(String, Node)], size: UInt64? = nil) async throws -> Node {
    var directory = Directory()
    for (name, node) in entries { try directory.add(PathComponent(name), node) }
    return .directory(
      digest: try await services.directories.put(directory),
      size: size ?? directory.size(rule: .specified)
    )
  }

  func file(_ number: Int) -> Node {
    .file(digest: B3Digest(hashing: [UInt8]("\(number)".utf8)), size: 10, isExecutable: false)
  }

  /// Looks up all that is below a node, and returns the ids by path.
  func walk(_ path: String, _ node: UInt64, _ names: [String]) async throws -> [String: UInt64] {
    var found: [String: UInt64] = [:]
    for name in names {
      guard case .success(let child) = await client.lookup(worker, name, in: node), child != 0
      else { continue }
      found["\(path)/\(name)"] = child
      guard NodeRecord.Kind.directory == fileSystem.nodes.record(child)?.kind else { continue }
      for (path, id) in try await walk("\(path)/\(name)", child, names) { found[path] = id }
    }
    return found
  }

  /// A tree with directories in directories, equal ones among them, files before and behind them.
  func addTree() async throws -> [String] {
    let empty = try await directory([])
    let inner = try await directory([
      ("a", file(1)), ("b", empty), ("c", try await directory([("a", file(2)), ("d", file(3))])),
      ("d", .symlink(target: SymlinkTarget("a"))),
    ])
    let tree = try await directory([
      ("a", file(3)), ("b", inner), ("c", inner), ("d", try await directory([("e", inner)])),
      ("e", file(4)),
    ])
    roots.set(PathComponent("a"), to: tree)
    roots.set(PathComponent("b"), to: file(9))
    roots.set(PathComponent("c"), to: .symlink(target: SymlinkTarget("a/b")))
    roots.set(PathComponent("d"), to: inner)
    return ["a", "b", "c", "d", "e"]
  }
}

@Suite("Nodes that the client forgets, and finds again", .serialized, .timeLimit(.minutes(2)))
struct HandleTests {
  @Test("every node is found again by its id, with its way up", arguments: [true, false])
  func ids(isLocal: Bool) async throws {
    let fixture = SessionFixture(isLocal: isLocal)
    let names = try await fixture.addTree()
    let (client, worker) = (fixture.client, fixture.worker)
    let ids = try await fixture.walk("", 1, names)
    #expect(ids.count == 34)
    client.forgetAll(worker)
    #expect(fixture.fileSystem.nodeCount == 0)
    for (path, id) in ids {
      #expect(await client.lookup(worker, ".", in: id) == .success(id), "\(path)")
      let parent = String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex))
      let isDirectory = fixture.fileSystem.nodes.record(id)?.kind == .directory
      #expect(
        await client.lookup(worker, "..", in: id)
          == (isDirectory ? .success(ids[parent] ?? 1) : .failure(CallError(code: ENOTDIR)))
      )
      client.forgetAll(worker)
      #expect(fixture.fileSystem.nodeCount == 0)
    }
    // Nothing else has an id: numbers all around are stale, and leave nothing behind.
    for id in ids.values {
      for bit in 0..<64 {
        let other = id ^ 1 << UInt64(bit)
        if ids.values.contains(other) { continue }
        let outcome = await client.lookup(worker, ".", in: other)
        // A shared file or link has an id at each of its places.
        if case .success(let found) = outcome {
          #expect(found == other)
          let kind = fixture.fileSystem.nodes.record(found)?.kind
          #expect(kind == .file || kind == .symlink)
        } else {
          #expect(outcome == .failure(CallError(code: ESTALE)))
        }
      }
    }
    client.forgetAll(worker)
    #expect(fixture.fileSystem.nodeCount == 0)
    fixture.session.finish()
  }

  @Test("ids go on standing for what they stood for when a root is re-pointed")
  func repointed() async throws {
    let fixture = SessionFixture(isLocal: true)
    let (client, worker) = (fixture.client, fixture.worker)
    let name = PathComponent("root")
    let old = try await fixture.directory([("file", fixture.file(1))])
    fixture.roots.set(name, to: old)
    let top = try await client.lookup(worker, "root", in: 1).get()
    let file = try await client.lookup(worker, "file", in: top).get()
    fixture.roots.set(name, to: try await fixture.directory([("file", fixture.file(2))]))
    client.forgetAll(worker)
    #expect(try await client.lookup(worker, "root", in: 1).get() != top)
    #expect(await client.lookup(worker, ".", in: file) == .success(file))
    #expect(fixture.fileSystem.nodes.record(file)?.digest == B3Digest(hashing: Array("1".utf8)))
    #expect(await client.lookup(worker, ".", in: top) == .success(top))
    client.forgetAll(worker)
    #expect(fixture.fileSystem.nodeCount == 0)
    // Where the content is gone, so is the way.
    if case .directory(let digest, _) = old { fixture.services.directories.remove(digest) }
    fixture.fileSystem.cache.removeAll()
    #expect(await client.lookup(worker, ".", in: file) == .failure(CallError(code: ESTALE)))
    #expect(fixture.fileSystem.nodeCount == 0)
  }

  @Test("sizes that lie take the lasting id from those concerned, and mix up nobody")
  func lies() async throws {
    let fixture = SessionFixture(isLocal: true)
    let (client, worker) = (fixture.client, fixture.worker)
    let inner = try await fixture.directory([("a", fixture.file(1)), ("b", fixture.file(2))])
    guard case .directory(let digest, _) = inner else { return }
    for (number, size) in ([0, 1, 2, 4, 1 << 40, UInt64.max - 8] as [UInt64]).enumerated() {
      let lying = Node.directory(digest: digest, size: size)
      let tree = try await fixture.directory(
        [("a", lying), ("b", fixture.file(3)), ("c", inner), ("d", fixture.file(4))],
        size: number % 2 == 0 ? nil : 5
      )
      fixture.roots.set(PathComponent("a"), to: tree)
      let ids = try await fixture.walk("", 1, ["a", "b", "c", "d"])
      #expect(ids.count == 9)
      // Two pairs of equal files.
      #expect(Set(ids.values).count == 7)
      client.forgetAll(worker)
      #expect(fixture.fileSystem.nodeCount == 0)
      for (path, id) in ids {
        switch await client.lookup(worker, ".", in: id) {
        case .success(let found): #expect(found == id)
        case .failure(let error): #expect(error.code == ESTALE, "\(path)")
        }
      }
      #expect(try await fixture.walk("", 1, ["a", "b", "c", "d"]).count == 9)
      client.forgetAll(worker)
      #expect(fixture.fileSystem.nodeCount == 0)
    }
  }

  @Test("a directory that is forgotten before its children keeps its id, and nothing piles up")
  func forgottenParents() async throws {
    let fixture = SessionFixture(isLocal: true)
    let (client, worker) = (fixture.client, fixture.worker)
    let child = try await fixture.directory([("file", fixture.file(1))])
    // With a size that is too small no id lasts.
    for size in [nil, 0] as [UInt64?] {
      let name = try PathComponent("d\(size ?? 1)")
      fixture.roots.set(name, to: try await fixture.directory([("c", child)], size: size))
      var seen: Set<UInt64> = []
      for _ in 0..<100 {
        let parent = try await client.lookup(worker, "\(name)", in: 1).get()
        let below = try await client.lookup(worker, "c", in: parent).get()
        client.request(worker, 2, node: parent, WireClient.bytes(UInt64(1)))
        #expect(await client.lookup(worker, "..", in: below) == .success(parent))
        client.request(worker, 2, node: parent, WireClient.bytes(UInt64(1)))
        seen.formUnion([parent, below])
      }
      #expect(seen.count == 2)
      #expect(fixture.fileSystem.nodeCount == 2)
      client.forgetAll(worker)
      #expect(fixture.fileSystem.nodeCount == 0)
    }
  }

  @Test("what an interrupted or lost answer counted is given back")
  func lostAnswers() async throws {
    let fixture = SessionFixture(isLocal: false)
    let (client, worker) = (fixture.client, fixture.worker)
    let slow = try await fixture.directory((0..<50).map { ("f\($0)", fixture.file($0)) })
    fixture.services.hold(slow)
    fixture.roots.set(PathComponent("slow"), to: slow)
    let fast = try await fixture.directory((0..<50).map { ("f\($0)", fixture.file($0 + 25)) })
    fixture.roots.set(PathComponent("fast"), to: fast)
    let node = try await client.lookup(worker, "slow", in: 1).get()
    // They wait; every other one is interrupted, and its answer comes too late.
    var waiting: [Latch<WireClient.Answer>] = []
    for number in 0..<50 {
      let lookup = client.request(worker, 1, node: node, Array("f\(number)".utf8) + [0])
      let listing = client.list(worker, node)
      waiting += [lookup.answer, listing.answer]
      if number % 2 == 0 {
        client.interrupt(worker, lookup.unique)
        client.interrupt(worker, listing.unique)
      }
    }
    fixture.services.open()
    var interrupted = 0
    for latch in waiting where await latch.get().error == -EINTR { interrupted += 1 }
    #expect(interrupted == 50)
    // Answers that cannot be sent, at once and from tasks.
    for name in ["slow", "fast"] {
      let node = try await client.lookup(worker, name, in: 1).get()
      for number in 0..<10 {
        client.lose(1 + number % 2)
        client.list(worker, node)
        client.request(worker, 1, node: node, Array("f\(number)".utf8) + [0])
        while fixture.session.detachedCount > 0 { await Task.yield() }
        client.lose(0)
      }
    }
    while fixture.session.detachedCount > 0 { await Task.yield() }
    #expect(client.lookups.count > 50)
    // Late owners of interrupted replies may still be on their way to finding out.
    client.forgetAll(worker)
    for _ in 0..<2000 where fixture.fileSystem.nodeCount > 0 {
      try await Task.sleep(for: .milliseconds(5))
    }
    #expect(fixture.fileSystem.nodeCount == 0)
    fixture.session.finish()
  }

  @Test("the target of a node that does not exist is stale, of one that is no link invalid")
  func readlink() async throws {
    let fixture = SessionFixture(isLocal: true)
    let names = try await fixture.addTree()
    let (client, worker) = (fixture.client, fixture.worker)
    let ids = try await fixture.walk("", 1, names)
    func errno(_ node: UInt64) async -> Int32 {
      -(await client.request(worker, 5, node: node).answer.get().error)
    }
    let link = try #require(ids["/c"])
    #expect(await errno(link) == 0)
    #expect(await errno(1) == EINVAL)
    #expect(await errno(try #require(ids["/b"])) == EINVAL)
    client.forgetAll(worker)
    #expect(await errno(link) == ESTALE)
    #expect(await errno(77) == ESTALE)
  }

  @Test("nothing is left of a session that has ended")
  func end() async throws {
    let fixture = SessionFixture(isLocal: true)
    let names = try await fixture.addTree()
    _ = try await fixture.walk("", 1, names)
    #expect(fixture.fileSystem.nodeCount > 10)
    fixture.session.finish()
    #expect(fixture.fileSystem.nodeCount == 0)
  }
}

@Suite("The numbers of a directory's entries")
struct DirectoryNumberingTests {
  @Test("lead there and back", arguments: 0..<20)
  func inverse(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    var directory = Directory()
    var spans: [UInt64] = []
    for number in 0..<Int.random(in: 0...60, using: &generator) {
      let name = try PathComponent(String(format: "%03d", number))
      let digest = B3Digest(hashing: [UInt8(number)])
      let size = UInt64.random(in: 0...20, using: &generator)
      if Bool.random(using: &generator) {
        try directory.add(name, .directory(digest: digest, size: size))
        spans.append(1 + size)
      } else {
        try directory.add(name, .file(digest: digest, size: 1 << 50, isExecutable: false))
        spans.append(1)
      }
    }
    let numbering = DirectoryNumbering(DirectoryIndex(directory))
    #expect(numbering.position(at: 0) == nil)
    var offset: UInt64 = 1
    for (position, span) in spans.enumerated() {
      #expect(numbering.offset(of: position) == offset)
      for inside in offset..<offset + span { #expect(numbering.position(at: inside) == position) }
      offset += span
    }
    #expect(offset == directory.size(rule: .specified) + 1)
  }
}
