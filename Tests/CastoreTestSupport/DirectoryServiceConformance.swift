public import Castore
import Testing

/// Everything that a directory service promises, checked on an empty one.
///
/// Leaves directories in it. Call it on every implementation.
///
/// - Parameter makeService: Makes a fresh, empty service on every call.
public func checkDirectoryService<Service: DirectoryService>(
  _ makeService: () async throws -> Service
) async throws {
  try await checkSingleDirectories(try await makeService())
  try await checkClosures(try await makeService())
  try await checkRefusals(try await makeService())
  try await checkTraversal(try await makeService())
}

/// The directories of a stream, or the error that ended it.
private func collect(
  _ stream: AsyncThrowingStream<Directory, any Error>
) async throws -> [Directory] {
  var directories: [Directory] = []
  for try await directory in stream { directories.append(directory) }
  return directories
}

private func putClosure(
  _ directories: [Directory],
  into service: some DirectoryService
) async throws -> B3Digest {
  let putter = try await service.putMultiple()
  for directory in directories { try await putter.put(directory) }
  let digest = try await putter.close()
  #expect(try await putter.close() == digest, "closing twice names the same root")
  return digest
}

private func checkSingleDirectories(_ service: some DirectoryService) async throws {
  for digest in [Fixtures.dummyDigest, Fixtures.directoryA.digest] {
    #expect(try await service.get(digest) == nil)
    #expect(try await collect(service.getRecursive(digest)).isEmpty)
  }
  let (first, second) = (Fixtures.directoryA, Fixtures.withSymlinks)
  for known in [first, second, first] {
    #expect(try await service.put(known.directory) == known.digest)
    #expect(try await service.get(known.digest) == known.directory)
    #expect(try await collect(service.getRecursive(known.digest)) == [known.directory])
  }
  // The children of one that is put alone need not be there.
  let parent = Fixtures.complicated
  #expect(try await service.put(parent.directory) == parent.digest)
  #expect(try await service.get(parent.digest) == parent.directory)
}

private func checkClosures(_ service: some DirectoryService) async throws {
  let a = Fixtures.directoryA.directory
  let b = Fixtures.directoryB.directory
  let c = Fixtures.directoryC.directory
  let d = Fixtures.directoryD.directory

  #expect(try await putClosure([a, c], into: service) == c.digest)
  #expect(try await collect(service.getRecursive(c.digest)) == [c, a])
  #expect(try await service.get(a.digest) == a)

  // Repeating one is allowed, and so is storing what is there.
  #expect(try await putClosure([a, a, c], into: service) == c.digest)
  #expect(try await collect(service.getRecursive(c.digest)) == [c, a])

  #expect(try await putClosure([a, b, d], into: service) == d.digest)
  let order = try await collect(service.getRecursive(d.digest))
  #expect(order == [d, b, a] || order == [d, a, b])

  #expect(try await putClosure([a], into: service) == a.digest)

  // Both rules for sizes.
  for known in [Fixtures.complicated, Fixtures.complicatedSnix] {
    let keep = Fixtures.withKeep.directory
    #expect(try await putClosure([keep, known.directory], into: service) == known.digest)
    #expect(try await collect(service.getRecursive(known.digest)) == [known.directory, keep])
  }
  let snix = Fixtures.directoryDSnix
  #expect(try await putClosure([a, b, snix.directory], into: service) == snix.digest)
}

private func checkRefusals(_ service: some DirectoryService) async throws {
  let a = Fixtures.directoryA.directory
  let b = Fixtures.directoryB.directory
  let c = Fixtures.directoryC.directory
  #expect(try await service.put(a) == a.digest)

  func expectRefused(_ directories: [Directory], _ what: Comment) async throws {
    let putter = try await service.putMultiple()
    await #expect(throws: ServiceError.self, what) {
      for directory in directories { try await putter.put(directory) }
      _ = try await putter.close()
    }
    await #expect(throws: ServiceError.self, "\(what); a second close fails like the first") {
      try await putter.close()
    }
    for directory in directories where directory != a {
      #expect(try await service.get(directory.digest) == nil, "\(what): nothing is stored")
    }
  }
  try await expectRefused([], "no directory at all")
  try await expectRefused([a, c, b], "two roots")
  try await expectRefused([b], "a child that is in the store but not in the upload")
  try await expectRefused([b, a], "the parent first")
  for size in [a.size() + 42, UInt64.max - 1] {
    let wrong = Directory(fixture: ["a": .directory(digest: a.digest, size: size)])
    try await expectRefused([a, wrong], "a wrong size")
  }
}

private func checkTraversal(_ service: some DirectoryService) async throws {
  // A wide and deep tree with much in common.
  var level = [Fixtures.directoryA.directory, Fixtures.withKeep.directory]
  var all = level
  for depth in 0..<5 {
    level = (0..<3).map { number in
      Directory(
        fixture: [
          "left": level[number % level.count].node(),
          "right": level[(number + 1) % level.count].node(),
          "number": .symlink(target: SymlinkTarget(stringLiteral: "\(depth) \(number)")),
        ]
      )
    }
    all += level
  }
  let root = Directory(
    fixture: ["0": level[0].node(), "1": level[1].node(), "2": level[2].node()]
  )
  all.append(root)
  #expect(try await putClosure(all, into: service) == root.digest)

  var expected: Set<B3Digest> = [root.digest]
  var count = 0
  for directory in try await collect(service.getRecursive(root.digest)) {
    #expect(expected.contains(directory.digest), "came before anything that refers to it")
    for case .directory(let digest, _) in directory.entries.map(\.node) { expected.insert(digest) }
    count += 1
  }
  #expect(count == all.count, "each once")

  let found = try await service.descend(from: root.node(), to: "1/left/right/number")
  #expect(found?.kind == .symlink)
  #expect(try await service.descend(from: root.node(), to: .root) == root.node())
  #expect(try await service.descend(from: root.node(), to: "1/left/none") == nil)
  #expect(try await service.descend(from: root.node(), to: "1/number/below") == nil)
}

/// Everything that local access to directories promises, beside the service that stores them.
public func checkLocalDirectoryAccess(
  _ service: some DirectoryService & LocalDirectoryAccess
) async throws {
  #expect(try service.directoryLocal(Fixtures.dummyDigest) == nil)
  #expect(try service.directoryIndexLocal(Fixtures.dummyDigest) == nil)
  for known in Fixtures.directories {
    #expect(try await service.put(known.directory) == known.digest)
    #expect(try service.directoryLocal(known.digest) == known.directory)
    let index = try #require(try service.directoryIndexLocal(known.digest))
    #expect(index.encoding == known.directory.encoded())
    #expect(Directory(index) == known.directory)
  }
}
