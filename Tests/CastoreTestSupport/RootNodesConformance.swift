public import Castore
import Testing

/// Everything that a list of root names promises, checked on an empty one.
///
/// A store that only names what it holds must hold the blobs `Fixtures.emptyBlob` and
/// `Fixtures.helloWorld` and the directories `Fixtures.directoryA` and `Fixtures.withKeep` before.
///
/// - Parameters:
///   - roots: The list.
///   - set: Lets a name stand for a node.
public func checkRootNodes(
  _ roots: some RootNodes,
  setting set: (NamedNode) async throws -> Void
) async throws {
  let file = Fixtures.helloWorld
  let entries = [
    NamedNode(name: "a file", node: .file(digest: file.digest, size: 12, isExecutable: true)),
    NamedNode(name: "a directory", node: Fixtures.withKeep.directory.node()),
    NamedNode(name: "a link", node: .symlink(target: "../elsewhere")),
    NamedNode(name: try PathComponent([0xff, 0x0a, 0xfe]), node: .symlink(target: "x")),
    NamedNode(
      name: try PathComponent([UInt8](repeating: 0x61, count: 255)),
      node: Fixtures.directoryA.directory.node()
    ),
  ]
  for entry in entries { #expect(try await roots.node(named: entry.name) == nil) }
  #expect(try await collect(roots).isEmpty)
  for entry in entries { try await set(entry) }
  for entry in entries { #expect(try await roots.node(named: entry.name) == entry.node) }
  let near: [PathComponent] = ["a fil", "a filee", "A FILE"]
  for name in near { #expect(try await roots.node(named: name) == nil) }
  #expect(try await collect(roots) == Set(entries))

  if let local = roots as? any LocalRootNodes {
    for entry in entries { #expect(try local.nodeLocal(named: entry.name) == entry.node) }
    #expect(try local.nodeLocal(named: "none") == nil)
    let version = try local.rootsVersion()
    #expect(try local.rootsVersion() == version)
    try await set(NamedNode(name: "one more", node: .symlink(target: "y")))
    #expect(try local.rootsVersion() != version, "a new name has to show in the version")
  }
}

private func collect(_ roots: some RootNodes) async throws -> Set<NamedNode> {
  var names: Set<NamedNode> = []
  for try await entry in roots.list() {
    #expect(names.insert(entry).inserted, "each name once")
  }
  return names
}
