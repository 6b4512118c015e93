import Castore
import NixCompat
package import NixStore
import Testing

/// Everything that a path info service promises, checked on an empty one.
package func checkPathInfoService(_ service: some PathInfoService) async throws {
  func stripped(_ info: PathInfo?) -> PathInfo? {
    var info = info
    info?.signatures = []
    return info
  }
  func all() async throws -> Set<PathInfo> {
    var found: Set<PathInfo> = []
    for try await info in service.list() {
      #expect(found.insert(try #require(stripped(info))).inserted, "each once")
    }
    return found
  }
  let first = PathInfoFixtures.directory
  #expect(try await service.get(first.storePath.digest) == nil)
  #expect(try await all().isEmpty)
  #expect(stripped(try await service.put(first)) == first)
  #expect(stripped(try await service.get(first.storePath.digest)) == first)
  #expect(try await all() == [first])

  // Another one in its place.
  let second = PathInfoFixtures.symlink
  let put = try await service.put(second)
  #expect(stripped(put) == second)
  #expect(try await service.get(second.storePath.digest) == put)
  #expect(try await all() == [second])

  let full = PathInfoFixtures.full
  let putFull = try await service.put(full)
  #expect(
    Set(putFull.signatures).isSuperset(of: full.signatures.filter { $0.keyName != "do.not.use" })
  )
  #expect(try await all() == [second, try #require(stripped(full))])

  if let local = service as? any LocalPathInfoAccess {
    #expect(stripped(try local.pathInfoLocal(full.storePath.digest)) == stripped(full))
    let version = try local.pathInfosVersion()
    #expect(try local.pathInfosVersion() == version)
    _ = try await service.put(first)
    #expect(try local.pathInfosVersion() != version)
  }

  // More than one page.
  var many: Set<PathInfo> = []
  for number in 0..<300 {
    let digest = StorePathDigest(compressing: SHA256Hasher.hash("\(number)").bytes)
    let info = PathInfo(
      storePath: try StorePath(digest: digest, name: "n\(number)"),
      node: second.node,
      narSize: 136,
      narHash: second.narHash
    )
    _ = try await service.put(info)
    many.insert(info)
  }
  #expect(try await all().isSuperset(of: many))
}
