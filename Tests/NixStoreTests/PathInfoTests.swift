import Castore
import CastoreTestSupport
import NixCompat
import NixStore
import NixTestSupport
import Testing

@Suite("Path infos")
struct PathInfoTests {
  @Test("have the encodings that other implementations give them")
  func vectors() throws {
    #expect(PathInfoFixtures.directory.encoded() == PathInfoFixtures.directoryEncoding)
    #expect(PathInfoFixtures.directoryEncoding.count == 212)
    #expect(PathInfoFixtures.symlink.encoded() == PathInfoFixtures.symlinkEncoding)
    #expect(PathInfoFixtures.symlinkEncoding.count == 109)
  }

  @Test(
    "come back from their encodings as they were",
    arguments: [PathInfoFixtures.directory, PathInfoFixtures.symlink, PathInfoFixtures.full]
  )
  func roundTrip(info: PathInfo) throws {
    let encoding = info.encoded()
    #expect(try PathInfo(canonicalEncoding: encoding) == info)
    for kind in [
      ContentAddress.text(PathInfoFixtures.zeroHash), .recursive(NixHasher.hash([], with: .sha1)),
      .recursive(NixHasher.hash([], with: .md5)), .recursive(NixHasher.hash([], with: .sha512)),
      .flat(NixHasher.hash([], with: .sha1)), .flat(NixHasher.hash([], with: .sha256)),
      .flat(NixHasher.hash([], with: .sha512)),
    ] {
      let other = PathInfo(
        storePath: info.storePath,
        node: info.node,
        narSize: 1,
        narHash: info.narHash,
        contentAddress: kind
      )
      #expect(try PathInfo(canonicalEncoding: other.encoded()) == other)
    }
  }

  @Test("are signed as other implementations sign them, once")
  func signatures() throws {
    for (info, signature) in [
      (PathInfoFixtures.directory, PathInfoFixtures.directorySignature),
      (PathInfoFixtures.symlink, PathInfoFixtures.symlinkSignature),
    ] {
      let signed = try info.signed(with: PathInfoFixtures.key)
      #expect(signed.signatures.map(\.description) == [signature])
      #expect(try signed.signed(with: PathInfoFixtures.key) == signed)
      // One that does not hold, of the same key, gives way.
      var spoilt = info
      spoilt.signatures = [try PathInfoFixtures.key.sign("something else")]
      #expect(try spoilt.signed(with: PathInfoFixtures.key) == signed)
    }
  }

  @Test("are refused when cut off anywhere, and when any byte says the same in another way")
  func strictness() throws {
    for info in [PathInfoFixtures.directory, PathInfoFixtures.symlink, PathInfoFixtures.full] {
      let encoding = info.encoded()
      for end in encoding.indices {
        #expect(throws: PathInfoError.self) {
          try PathInfo(canonicalEncoding: Array(encoding[..<end]))
        }
      }
      var generator = SeededGenerator()
      for _ in 0..<10_000 {
        var mutated = encoding
        for _ in 0...(generator.next() % 3) {
          let place = Int(generator.next() % UInt64(mutated.count))
          switch generator.next() % 3 {
          case 0: mutated[place] = UInt8(truncatingIfNeeded: generator.next())
          case 1: mutated.remove(at: place)
          default: mutated.insert(UInt8(truncatingIfNeeded: generator.next()), at: place)
          }
          if mutated.isEmpty { break }
        }
        if let decoded = try? PathInfo(canonicalEncoding: mutated) {
          #expect(decoded.encoded() == mutated, "seed \(generator.seed)")
        }
      }
    }
  }

  @Test("show their first flaw, in the order of the rules")
  func flaws() throws {
    // Every flaw at once; each step mends the first.
    var message = PathInfoMessage()
    func flaw() -> String? {
      do {
        _ = try PathInfo(validating: message)
        return nil
      } catch {
        return "\(error)"
      }
    }
    #expect(flaw() == "the field narinfo is missing")
    var nar = PathInfoMessage.NARFields()
    nar.narSHA256 = [0xbe, 0xef]
    nar.deriver = .init(name: "foo", bytes: [])
    nar.signatures = [.init(name: "name", bytes: [1])]
    nar.contentAddress = .init(kind: 9, digest: [])
    message.narInfo = nar
    message.references = [[UInt8](repeating: 0, count: 20), [0xff, 0xff]]
    #expect(flaw() == "the digest of reference 1 has 2 bytes, not 20")
    message.references.removeLast()
    #expect(flaw() == "there are 1 references, but 0 names of references")
    message.narInfo?.referenceNames = ["/nix/store/" + PathInfoFixtures.dummyName]
    #expect(flaw()?.contains("reference 0") == true)
    message.narInfo?.referenceNames = [PathInfoFixtures.dummyName]
    message.references[0] = [UInt8](repeating: 0xff, count: 20)
    #expect(flaw()?.contains("the name of reference 0 has the digest 000000") == true)
    message.references[0] = [UInt8](repeating: 0, count: 20)
    #expect(flaw() == "the field node is missing")
    message.node = []
    #expect(flaw() == "the node: the message holds no node")
    let good = PathInfoFixtures.symlink.node
    message.node = good.encoded(name: [UInt8]("invalid".utf8))
    #expect(flaw()?.contains("the name \"invalid\"") == true)
    message.node = bytes(hex: "0a040a020102")
    #expect(flaw()?.contains("the node: ") == true)
    message.node = good.encoded(name: [UInt8](PathInfoFixtures.dummyName.utf8))
    #expect(flaw() == "the SHA-256 of the NAR has 2 bytes, not 32")
    message.narInfo?.narSHA256 = [UInt8](repeating: 0, count: 32)
    #expect(flaw()?.contains("the deriver") == true)
    message.narInfo?.deriver = .init(name: "dummy", bytes: [UInt8](repeating: 0, count: 20))
    #expect(flaw()?.contains("signature 0") == true)
    message.narInfo?.signatures[0].bytes = [UInt8](repeating: 0, count: 64)
    #expect(flaw() == "there is no content address of kind 9")
    message.narInfo?.contentAddress?.kind = 4
    #expect(flaw()?.contains("the digest of the content address has 0 bytes") == true)
    message.narInfo?.contentAddress?.digest = [UInt8](repeating: 0, count: 32)
    #expect(flaw() == nil)
  }
}
