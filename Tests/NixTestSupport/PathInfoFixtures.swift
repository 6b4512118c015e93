package import Castore
import CastoreTestSupport
package import NixCompat
package import NixStore

/// What the test's author knows to be valid.
package func known<Value>(_ body: () throws -> Value?) -> Value {
  guard let value = try? body() else { preconditionFailure("the fixture is broken") }
  return value
}

/// Path infos with known encodings and signatures, which other implementations use as well.
package enum PathInfoFixtures {
  package static let dummyName = String(repeating: "0", count: 32) + "-dummy"
  package static let dummyPath = known { try StorePath(baseName: dummyName) }
  package static let zeroHash = known { SHA256Digest([UInt8](repeating: 0, count: 32)) }

  /// A directory that does not exist, which refers to itself.
  package static let directory = PathInfo(
    storePath: dummyPath,
    node: .directory(digest: Fixtures.dummyDigest, size: 0),
    references: [dummyPath],
    narSize: 0,
    narHash: zeroHash,
    contentAddress: .recursive(NixHash(zeroHash))
  )
  package static let directoryEncoding: [UInt8] = {
    let name = "0a26" + String(repeating: "30", count: 32) + "2d64756d6d79"
    let zeros = { (count: Int) in String(repeating: "00", count: count) }
    return bytes(
      hex: "0a4c0a4a" + name + "1220" + zeros(32) + "1214" + zeros(20) + "1a6e1220" + zeros(32)
        + "22" + name.dropFirst(2) + "32221220" + zeros(32)
    )
  }()
  package static let directorySignature =
    "do.not.use:xl4q2L5wQMou13ZQ9/YPqK1z/DSIYycTtndVNfp2ybT8Cpg+yPv1sCQN8VVWppnq5BXTuMhjaq7K/ebYN4LYBg=="

  /// A link.
  package static let symlink = PathInfo(
    storePath: dummyPath,
    node: .symlink(target: "/nix/store/somewhereelse"),
    narSize: 136,
    narHash: NARFixtures.symlink.sha256
  )
  package static let symlinkEncoding = bytes(
    hex: "0a441a420a26" + String(repeating: "30", count: 32)
      + "2d64756d6d7912182f6e69782f73746f72652f736f6d657768657265656c7365" + "1a"
      + "25088801" + "1220" + "097d397e9b5826384eaa16c457715d1c1a51670313ead0f58566e0b232539cf1"
  )
  package static let symlinkSignature =
    "do.not.use:d/6grhFc7RIZK2FR1svFF8d3u22l2R1kU72Qs5zsqIOptthdueICLAc6sP51RPVmpiJruySSG6GHdeUeCHXuDQ=="

  package static let keyText =
    "do.not.use:sGPzxuK5WvWPraytx+6sjtaff866sYlfvErE6x0hFEhy5eqe7OVZ8ZMqZ/ME/HaRdKGNGvJkyGKXYTaeA6lR3A=="
  package static let key = known { try NixSecretKey(parsing: keyText) }

  /// A path info with every field set.
  package static let full: PathInfo = {
    var info = PathInfo(
      storePath: known {
        try StorePath(baseName: "00bgd045z0d4icpbc2yyz4gx48ak44la-net-tools-1.60")
      },
      node: .file(digest: Fixtures.helloWorld.digest, size: 12, isExecutable: true),
      references: [
        dummyPath, known { try StorePath(baseName: "fli4bwscgna7lpm7v5xgnjxrxh0yc7ra-.gitignore") },
      ],
      narSize: 128,
      narHash: NARFixtures.helloWorld.sha256,
      deriver: known { try StorePath(baseName: "5rwxzi7pal3qhpsyfc16gzkh939q1np6-curl-7.82.0") },
      contentAddress: .flat(NixHasher.hash([1], with: .md5))
    )
    info.signatures = known { [try key.sign("one"), try key.sign("another")] }
    return info
  }()
}

/// NARs with known hashes, and the trees they are of.
package struct NARFixture: Sendable {
  package let name: String
  package let node: Node
  package let size: UInt64
  package let sha256: SHA256Digest
}

package enum NARFixtures {
  package static let symlink = fixture(
    "symlink",
    .symlink(target: "/nix/store/somewhereelse"),
    136,
    "097d397e9b5826384eaa16c457715d1c1a51670313ead0f58566e0b232539cf1"
  )
  package static let helloWorld = fixture(
    "hello world",
    .file(digest: Fixtures.helloWorld.digest, size: 12, isExecutable: false),
    128,
    "03e7f63be30b065d78bcf615f5473545fdb4eb69aa416f43495b4e05cdfb8040"
  )
  package static let complicated = fixture(
    "complicated",
    Fixtures.complicated.directory.node(),
    840,
    "ebd52279a8df024c9fd5718de4103bf5e760dc7f2cf49044ee7dea87ab16911a"
  )
  package static let all = [symlink, helloWorld, complicated]

  private static func fixture(
    _ name: String,
    _ node: Node,
    _ size: UInt64,
    _ hash: String
  ) -> NARFixture {
    NARFixture(
      name: name,
      node: node,
      size: size,
      sha256: known { SHA256Digest(bytes(hex: hash)) }
    )
  }
}
