import Castore
import CastoreStorage
import CastoreTestSupport
import Foundation
import Testing

@Suite("Roots of the local store")
struct RootTests {
  let folder: TestFolder
  let store: LocalStore

  init() throws {
    folder = try TestFolder()
    store = try LocalStore(path: folder.sub("s"), create: true)
  }

  @Test("a name keeps what it stands for unless it is replaced")
  func policy() throws {
    let name: PathComponent = "a"
    let first = Node.symlink(target: "x")
    let second = Node.symlink(target: "y")
    var version = try store.rootsVersion()
    #expect(try store.setRoot(name, to: first) == nil)
    #expect(try store.rootsVersion() != version)
    version = try store.rootsVersion()
    #expect(try store.setRoot(name, to: first) == first)
    let error = serviceError { try store.setRoot(name, to: second) }
    #expect(error?.code == .invalidArgument)
    #expect(try store.rootsVersion() == version)
    #expect(try store.nodeLocal(named: name) == first)
    #expect(try store.setRoot(name, to: second, replace: true) == first)
    #expect(try store.nodeLocal(named: name) == second)
    #expect(try store.removeRoot(name))
    #expect(try !store.removeRoot(name))
    #expect(try store.nodeLocal(named: name) == nil)
  }

  @Test("a name is not given to what is not there")
  func missing() throws {
    let digest = B3Digest(hashing: [1])
    let name: PathComponent = "a"
    let nodes: [Node] = [
      .directory(digest: digest, size: 0), .file(digest: digest, size: 1, isExecutable: false),
    ]
    for node in nodes {
      #expect(serviceError { try store.setRoot(name, to: node) }?.code == .notFound)
    }
  }

  @Test("names are listed in order, over many pages, and odd names too")
  func listing() async throws {
    var names = try (0..<1000).map { try PathComponent("n\($0)") }
    names.append(try PathComponent([0xff, 0x0a, 0x80]))
    names.append(try PathComponent([UInt8](repeating: 0x61, count: 255)))
    let target = Node.symlink(target: "t")
    // Straight into the index: a durable commit each would take long.
    for name in names.prefix(5) { try store.setRoot(name, to: target) }
    try setRoots(store, Array(names.dropFirst(5)), to: target)
    var listed: [PathComponent] = []
    for try await root in store.list() { listed.append(root.name) }
    #expect(listed == names.sorted())
    #expect(try store.statistics().roots == 1002)
  }
}
