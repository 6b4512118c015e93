import Castore
import CastoreTestSupport
import FileTree
import Foundation
import Packs
import Platform
import Testing

@testable import CastoreStorage

@Suite("Collecting what nothing refers to")
struct CollectionTests {
  let folder: TestFolder
  let path: String

  init() throws {
    folder = try TestFolder()
    path = folder.sub("s")
  }

  @discardableResult
  private func collect(
    dryRun: Bool = false,
    unnamedSince: Int64? = nil
  ) throws -> StoreCollection {
    try LocalStore(path: path).collectGarbage(unnamedSince: unnamedSince, dryRun: dryRun)
  }

  private func tree(_ seed: UInt64) throws -> String {
    let tree = folder.sub("tree\(seed)")
    if !FileManager.default.fileExists(atPath: tree) {
      try makeTree(at: tree, files: 200, large: 3, seed: seed)
      // The same in each.
      try Data(noise(1_300_000, seed: 99)).write(to: URL(fileURLWithPath: "\(tree)/shared"))
    }
    return tree
  }

  /// Imports trees and lets go of the store.
  private func importTrees(_ seeds: [UInt64]) throws {
    let store = try LocalStore(path: path, create: true)
    for seed in seeds { try store.importTree(tree(seed), as: "t\(seed)") }
  }

  private func count(_ name: String, _ suffix: String = "") throws -> Int {
    let names = try FileManager.default.subpathsOfDirectory(atPath: "\(path)/\(name)")
    return names.count { $0.hasSuffix(suffix) && (name != "blobs" || $0.contains("/")) }
  }

  @Test("what a removed root alone needed goes, the rest stays")
  func removed() throws {
    try importTrees([1, 2])
    let before = try count("blobs")
    let all = try collect()
    #expect(all.blobs == 0 && all.directories == 0 && all.files == 0)
    #expect(try LocalStore(path: path).removeRoot("t1"))

    let planned = try collect(dryRun: true)
    #expect(planned.blobs > 0 && planned.directories > 0 && planned.packs > 0)
    #expect(try count("blobs") == before)
    #expect(try LocalStore(path: path).problems() == [])

    let done = try collect()
    #expect(done.blobs == planned.blobs && done.directories == planned.directories)
    #expect(done.keptBlobs + done.blobs == all.keptBlobs)
    #expect(done.files == 3 && done.freedBytes > 3_000_000)
    #expect(try count("blobs") == before - 3)
    let store = try LocalStore(path: path)
    #expect(try store.problems() == [])
    let counts = try store.statistics()
    #expect(counts.blobs == done.keptBlobs && counts.directories == done.keptDirectories)
    #expect(counts.deadBytes == 0 && counts.duplicateBytes == 0)
    let again = try collect()
    #expect(again.blobs == 0 && again.files == 0 && again.packs == 0)
    #expect(try count("index", ".table") == 1)
  }

  @Test("what was removed can be imported again")
  func again() throws {
    try importTrees([1])
    let node = try LocalStore(path: path).nodeLocal(named: "t1")
    #expect(try LocalStore(path: path).removeRoot("t1"))
    let result = try collect()
    #expect(result.keptBlobs == 0 && result.keptDirectories == 0)
    #expect(try count("blobs") == 0 && count("packs") == 0)
    try importTrees([1])
    let store = try LocalStore(path: path)
    #expect(try store.nodeLocal(named: "t1") == node)
    #expect(try store.problems() == [])
  }

  @Test("path infos, pins and what was unnamed lately keep what they name")
  func otherNames() throws {
    try importTrees([1])
    let key = [UInt8](repeating: 7, count: 20)
    let store = try LocalStore(path: path)
    let node = try #require(try store.nodeLocal(named: "t1"))
    try store.pathInfoTable.set(key, to: [1], node: node)
    #expect(try store.removeRoot("t1"))
    try store.beginNextPeriod()
    try store.beginNextPeriod()
    var result = try collect()
    #expect(result.blobs == 0 && result.directories == 0 && result.keptBlobs > 0)
    #expect(try store.pin(node, note: [UInt8]("why".utf8)))
    #expect(try store.pins(after: nil, limit: 9).map(\.node) == [node])
    #expect(try store.pathInfoTable.remove(key))
    try store.beginNextPeriod()
    try store.beginNextPeriod()
    result = try collect()
    #expect(result.blobs == 0 && result.keptBlobs > 0)
    #expect(try store.unpin(node))
    result = try collect(unnamedSince: Int64(time(nil)) - 3600)
    #expect(result.blobs == 0 && result.keptBlobs > 0)
    result = try collect()
    #expect(result.blobs > 0 && result.keptBlobs == 0)
  }

  @Test("what an open session has stored or found stays until it ends")
  func sessions() throws {
    try importTrees([1])
    do {
      let store = try LocalStore(path: path)
      #expect(try store.removeRoot("t1"))
      // Finds everything there, and relies on it; nothing is named.
      let writer = try store.makeWriter()
      _ = try TreeImporter(into: writer).run(tree(1))
      _ = try store.put([1, 2, 3])
      let result = try collect()
      #expect(result.blobs == 0 && result.directories == 0)
      #expect(try store.problems() == [])
      #expect(try store.read(B3Digest(hashing: [1, 2, 3]), count: 3) == [1, 2, 3])
    }
    let result = try collect()
    #expect(result.keptBlobs == 0)
    #expect(try count("packs") == 0)
  }

  @Test("what a mount has shown stays while it does")
  func mounts() throws {
    try importTrees([1])
    do {
      let mount = try LocalStore(path: path)
      try mount.keepShownRoots()
      #expect(try mount.nodeLocal(named: "t1") != nil)
      #expect(try LocalStore(path: path).removeRoot("t1"))
      let result = try collect()
      #expect(result.blobs == 0 && result.keptBlobs > 0)
    }
    #expect(try collect().keptBlobs == 0)
  }

  @Test("who has a pack open reads on when it was collected, and finds what moved")
  func readers() throws {
    try importTrees([1, 2])
    let reader = try LocalStore(path: path)
    let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(tree(2))/d3/e3/f3"))
    let digest = B3Digest(hashing: [UInt8](bytes))
    #expect(try LocalStore(path: path).removeRoot("t1"))
    #expect(try collect().packs > 0)
    #expect(try reader.read(digest, count: bytes.count + 1) == [UInt8](bytes))
    #expect(try reader.problems() == [])
  }

  @Test("a collector that died leaves nothing that stops writers or the next one")
  func deadCollector() throws {
    try importTrees([1])
    let store = try LocalStore(path: path)
    let epoch = try store.core.state.read().epoch
    try store.core.state.setEpoch(epoch + 1)
    // No list of what is condemned, and nobody who would end the epoch.
    try store.importTree(tree(1), as: "again")
    #expect(try store.core.state.read().epoch == epoch + 2)
    try store.core.state.setEpoch(epoch + 3)
    #expect(try collect().blobs == 0)
    #expect(try store.core.state.read().epoch > epoch + 3)
    #expect(try store.core.state.read().epoch % 2 == 0)
  }

  @Test("what is condemned is stored again by who comes to rely on it")
  func condemned() throws {
    try importTrees([1])
    let bytes = noise(3000, seed: 1)
    let large = noise(1_300_000, seed: 5)
    do {
      let store = try LocalStore(path: path)
      _ = try store.put(bytes)
      _ = try store.put(large)
    }
    let store = try LocalStore(path: path)
    let lock = try #require(try CollectorLock(store: store.core, waits: false))
    let collector = try Collector(core: store.core, unnamedSince: nil)
    let (table, marks) = try #require(try collector.markAll())
    let epoch = try store.core.state.read().epoch + 1
    try collector.publish(table, marks, [], epoch)
    try store.core.state.setEpoch(epoch)

    let writer = try LocalStore(path: path)
    let session = try writer.core.session()
    let object = HeldObject(digest: B3Digest(hashing: bytes), kind: .blob)
    #expect(try writer.core.relyOn(object, for: session) == nil)
    _ = try writer.put(bytes)
    // A large blob's file waits for its name until the collection is done.
    let waiting = Guarded<B3Digest?>(nil)
    let thread = Thread {
      let digest = try? writer.put(large)
      waiting.withLock { $0 = digest }
    }
    thread.start()
    usleep(200_000)
    #expect(waiting.withLock { $0 } == nil)
    try store.core.state.setEpoch(epoch + 1)
    withExtendedLifetime(lock) {}
    while !thread.isFinished { usleep(1000) }
    #expect(waiting.withLock { $0 } == B3Digest(hashing: large))
    #expect(try writer.problems() == [])
  }

  @Test(
    "a tree that is not there is told and stops nothing; damage stops, since it is not known what it needs"
  )
  func missing() throws {
    try importTrees([1, 2])
    let node = Node.directory(digest: B3Digest(hashing: [9]), size: 0)
    try setRoots(LocalStore(path: path), ["broken"], to: node)
    #expect(try LocalStore(path: path).removeRoot("t1"))
    let result = try collect()
    #expect(result.missing.count == 1 && result.missing[0].contains("directory"))
    #expect(result.blobs > 0 && result.keptBlobs > 0)
    #expect(try LocalStore(path: path).problems().count == 1)
    #expect(try LocalStore(path: path).removeRoot("broken"))
    #expect(try LocalStore(path: path).problems() == [])

    let store = try LocalStore(path: path)
    guard case .directory(let digest, _) = try store.nodeLocal(named: "t2") else {
      Issue.record("t2 is a directory")
      return
    }
    let (pack, place) = try #require(
      try store.core.index.open(digest, .directory, accepting: { (_) throws(ServiceError) in true })
    )
    let packPath = store.core.index.packs.path(of: pack.id)
    chmod(packPath, 0o600)
    let file = open(packPath, O_RDWR)
    #expect(pwrite(file, [1, 2, 3], 3, off_t(place.place)) == 3)
    close(file)
    let files = try count("packs")
    #expect(serviceError { try collect() }?.code == .corrupt)
    #expect(try count("packs") == files)
  }

  @Test("lost names are an error and not a reason to remove everything")
  func lostNames() throws {
    try importTrees([1])
    let packs = try count("packs")
    for name in try FileManager.default.contentsOfDirectory(atPath: path)
    where name.hasPrefix("names") {
      try FileManager.default.removeItem(atPath: "\(path)/\(name)")
    }
    #expect(serviceError { try collect() } != nil)
    #expect(serviceError { _ = try LocalStore(path: path, create: true) } != nil)
    #expect(try count("packs") == packs)
  }

  @Test("a lost or damaged index is made again, and costs nothing else")
  func lostIndex() throws {
    try importTrees([1, 2])
    try collect()
    let problems = { try LocalStore(path: path).problems() }
    #expect(try problems() == [])
    let table = try #require(
      FileManager.default.contentsOfDirectory(atPath: "\(path)/index").first {
        $0.hasSuffix(".table")
      }
    )
    let whole = try Data(contentsOf: URL(fileURLWithPath: "\(path)/index/\(table)"))
    for damage in [
      { (bytes: inout Data) in bytes = Data() },
      { (bytes: inout Data) in bytes.removeLast(whole.count / 2) },
      { (bytes: inout Data) in for place in 0..<4096 { bytes[place] ^= 0x55 } },
      { (bytes: inout Data) in bytes[bytes.count - 600] ^= 1 },
    ] {
      var bytes = whole
      damage(&bytes)
      try FileManager.default.removeItem(atPath: "\(path)/index")
      try FileManager.default.createDirectory(
        atPath: "\(path)/index",
        withIntermediateDirectories: false
      )
      try bytes.write(to: URL(fileURLWithPath: "\(path)/index/\(table)"))
      #expect(try problems() == [])
      let kept = try collect()
      #expect(kept.blobs == 0 && kept.keptBlobs > 0)
      #expect(try problems() == [])
    }
    try FileManager.default.removeItem(atPath: "\(path)/index")
    #expect(try problems() == [])
    #expect(try collect().blobs == 0)
  }

  @Test("files that a crash left go, files of others stay")
  func strays() throws {
    try importTrees([1])
    let digest = B3Digest(hashing: [4, 5, 6])
    let stray = "\(path)/blobs/\(BlobFileName.path(of: digest))"
    let folder = URL(fileURLWithPath: stray).deletingLastPathComponent().path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try Data([4, 5, 6]).write(to: URL(fileURLWithPath: stray))
    try Data([1]).write(to: URL(fileURLWithPath: folder + "/notes.txt"))
    let result = try collect()
    #expect(result.files == 1 && result.blobs == 0)
    #expect(!FileManager.default.fileExists(atPath: stray))
    #expect(FileManager.default.fileExists(atPath: folder + "/notes.txt"))
  }

  @Test("many small packs become one, beside a reader")
  func smallPacks() throws {
    var digests: [(B3Digest, [UInt8])] = []
    _ = try LocalStore(path: path, create: true)
    let reader = try LocalStore(path: path)
    for seed in 0..<60 {
      let bytes = noise(100 + seed, seed: UInt64(seed) + 1)
      digests.append((try LocalStore(path: path).put(bytes), bytes))
    }
    #expect(try count("packs") <= 30)
    for (digest, bytes) in digests { #expect(try reader.read(digest, count: 1000) == bytes) }
    #expect(try reader.problems() == [])
  }
}
