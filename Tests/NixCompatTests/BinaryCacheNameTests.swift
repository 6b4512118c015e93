import NixCompat
import Testing

@Suite("names in binary caches")
struct BinaryCacheNameTests {
  static let narHash = "14cx20k6z4hq508kqi2lm79qfld5f9mf7kiafpqsjs3zlmycza0k"
  static let pathHash = "00bgd045z0d4icpbc2yyz4gx48ak44la"

  @Test("are parsed and printed")
  func parsing() throws {
    let digest = try #require(NixHash(parsing: narHash, algorithm: .sha256).sha256)
    let path = try StorePathDigest(nixBase32: Self.pathHash)
    let names: [(String, BinaryCacheName)] = [
      ("\(narHash).nar", .nar(digest, suffix: "")),
      ("\(narHash).nar.xz", .nar(digest, suffix: ".xz")),
      ("\(Self.pathHash).narinfo", .narInfo(path)),
      ("\(Self.pathHash).ls", .listing(path)),
    ]
    for (text, name) in names {
      #expect(BinaryCacheName(parsing: text) == name)
      #expect("\(name)" == text)
    }
  }

  @Test(
    "are refused when malformed",
    arguments: [
      "", ".", ".nar", ".narinfo", narHash, pathHash, "\(narHash.dropLast()).nar",
      "\(narHash).narinfo", "\(pathHash).nar", "/\(pathHash).narinfo", "\(narHash).nar/",
      "\(narHash).nar.ä", "\(narHash).narx", "ä\(narHash.dropFirst()).nar",
      "\(pathHash).narinfo.xz",
    ]
  )
  func refusals(text: String) {
    #expect(BinaryCacheName(parsing: text) == nil)
  }

  private var narHash: String { Self.narHash }
}
