import Castore
import NixCompat
import NixStore
import NixTestSupport
import Testing

@Suite("Path infos from elsewhere")
struct RecorderTests {
  /// Says of one node what its NAR is.
  private struct Calculator: NARCalculator {
    var node: Node
    var summary: NARSummary

    func calculateNAR(of node: Node) async throws(ServiceError) -> NARSummary {
      guard node == self.node else { throw ServiceError(.notFound, "another tree") }
      return summary
    }
  }

  private static func recorder(_ target: MemoryPathInfoService) -> PathInfoRecorder {
    let known = PathInfoFixtures.symlink
    let summary = NARSummary(size: known.narSize, sha256: known.narHash)
    return PathInfoRecorder(
      in: target,
      calculator: Calculator(node: known.node, summary: summary)
    )
  }

  @Test("are recorded where the tree is the one that is stated, and refused with another one")
  func compared() async throws {
    let target = MemoryPathInfoService()
    let recorder = Self.recorder(target)
    let known = PathInfoFixtures.symlink
    // A true signature, another tree.
    for (size, hash) in [
      (known.narSize, PathInfoFixtures.zeroHash), (known.narSize + 1, known.narHash),
    ] {
      let lie = PathInfo(storePath: known.storePath, node: known.node, narSize: size, narHash: hash)
      await #expect {
        try await recorder.record(lie.signed(with: PathInfoFixtures.key))
      } throws: { ($0 as? ServiceError)?.code == .corrupt }
      #expect(try await target.get(known.storePath.digest) == nil)
    }
    try await recorder.record(known)
    #expect(try await target.get(known.storePath.digest) == known)
  }

  @Test("keep the signatures that are there already")
  func merged() async throws {
    let target = MemoryPathInfoService()
    let recorder = Self.recorder(target)
    let known = PathInfoFixtures.symlink
    var (mine, theirs) = (known, known)
    mine.signatures = try [NixSecretKey(generatingWithName: "mine").sign("x")]
    theirs.signatures = try [NixSecretKey(generatingWithName: "theirs").sign("y")]
    _ = try await target.put(mine)
    try await recorder.record(theirs)
    try await recorder.record(known)
    let stored = try await target.get(known.storePath.digest)
    #expect(stored?.signatures == mine.signatures + theirs.signatures)
  }

  @Test("do not take the place of a path with another NAR, unless they are to")
  func replaced() async throws {
    let target = MemoryPathInfoService()
    let recorder = Self.recorder(target)
    _ = try await target.put(PathInfoFixtures.directory)
    await #expect {
      try await recorder.record(PathInfoFixtures.symlink)
    } throws: { ($0 as? ServiceError)?.code == .invalidArgument }
    try await recorder.record(PathInfoFixtures.symlink, replace: true)
    let stored = try await target.get(PathInfoFixtures.dummyPath.digest)
    #expect(stored == PathInfoFixtures.symlink)
  }
}
