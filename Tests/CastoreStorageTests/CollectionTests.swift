import Castore
import CastoreTestSupport
import Foundation
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
    waits: Bool = false,
    keeping nodes: [[UInt8]: Node] = [:]
  ) throws -> StoreCollection {
    try LocalStore(path: path).collectGarbage(dryRun: dryRun, waits: waits) {
      (key, _) throws(ServiceError) in
      guard let node = nodes[key] else { throw ServiceError(.corrupt, "no such record") }
      return node
    }
  }

  /// Imports trees and lets go of the store.
  private func importTrees(_ seeds: [UInt64]) throws {
    let store = try LocalStore(path: path, create: true)
    for seed in seeds {
      let tree = folder.sub("tree\(seed)")
      if !FileManager.default.fileExists(atPath: tree) {
        try makeTree(at: tree, files: 200, large: 3, seed: seed)
        // The same in each.
        try Data(noise(300_000, seed: 99)).write(to: URL(fileURLWithPath: "\(tree)/shared"))
      }
      try store.importTree(tree, as: "t\(seed)")
    }
  }

  private var blobFiles: Int {
    get throws {
      let names = try FileManager.default.subpathsOfDirectory(atPath: "\(path)/blobs")
      return names.count { $0.contains("/") }
    }
  }

  @Test("what a removed root alone needed goes, the rest stays")
  func removed() throws {
    try importTrees([1, 2])
    let before = try blobFiles
    let all = try collect()
    #expect(all.blobs == 0 && all.directories == 0 && all.files == 0)
    #expect(try LocalStore(path: path).removeRoot("t1"))

    let planned = try collect(dryRun: true)
    #expect(planned.blobs > 0 && planned.directories > 0 && planned.fileBytes > 0)
    #expect(try blobFiles == before)

    let done = try collect()
    #expect(done.blobs == planned.blobs && done.directories == planned.directories)
    #expect(done.files == planned.files && done.blobBytes == planned.blobBytes)
    #expect(done.keptBlobs + done.blobs == all.keptBlobs)
    #expect(try blobFiles == before - Int(done.files))
    let store = try LocalStore(path: path)
    #expect(try store.problems() == [])
    let counts = try store.statistics()
    #expect(counts.blobs == done.keptBlobs && counts.directories == done.keptDirectories)
    let again = try collect()
    #expect(again.blobs == 0 && again.files == 0)
  }

  @Test("what was removed can be imported again")
  func again() throws {
    try importTrees([1])
    let node = try LocalStore(path: path).nodeLocal(named: "t1")
    #expect(try LocalStore(path: path).removeRoot("t1"))
    let result = try collect()
    #expect(result.keptBlobs == 0 && result.keptDirectories == 0)
    #expect(try blobFiles == 0)
    try importTrees([1])
    let store = try LocalStore(path: path)
    #expect(try store.nodeLocal(named: "t1") == node)
    #expect(try store.problems() == [])
  }

  @Test("path infos keep what they name")
  func pathInfos() throws {
    try importTrees([1])
    let key = [UInt8](repeating: 7, count: 20)
    let node: Node
    do {
      let store = try LocalStore(path: path)
      node = try #require(try store.nodeLocal(named: "t1"))
      try store.pathInfoTable.set(key, to: [1])
      #expect(try store.removeRoot("t1"))
    }
    let result = try collect(keeping: [key: node])
    #expect(result.blobs == 0 && result.directories == 0 && result.keptBlobs > 0)
    // A record that cannot be read might keep anything.
    #expect(serviceError { try collect() }?.code == .corrupt)
    #expect(try blobFiles > 0)
  }

  @Test("nothing is removed while somebody may be writing, and writers wait for a collection")
  func writers() async throws {
    try importTrees([1])
    #expect(try LocalStore(path: path).removeRoot("t1"))
    do {
      let store = try LocalStore(path: path)
      _ = try store.put([1, 2, 3])
      #expect(serviceError { try collect() }?.code == .unavailable)
      #expect(try store.problems() == [])
    }
    do {
      let writing = Guarded<LocalStore?>(try LocalStore(path: path, create: true))
      let waiting = Task.detached { try collect(waits: true) }
      try await Task.sleep(for: .milliseconds(50))
      #expect(try blobFiles > 0)
      writing.withLock { $0 = nil }
      #expect(try await waiting.value.blobs > 0)
    }
    #expect(try blobFiles == 0)
  }

  @Test("where a directory is missing nothing is removed, since it is not known what it needs")
  func missing() throws {
    try importTrees([1])
    let store = try LocalStore(path: path)
    let node = Node.directory(digest: B3Digest(hashing: [9]), size: 0)
    try setRoots(store, ["broken"], to: node)
    #expect(try store.removeRoot("t1"))
    let before = try store.statistics().blobs
    let error = serviceError { try collect() }
    #expect(error?.code == .notFound)
    #expect("\(error.map { "\($0)" } ?? "")".contains("broken"))
    #expect(try store.statistics().blobs == before)
    #expect(try blobFiles > 0)
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
}
