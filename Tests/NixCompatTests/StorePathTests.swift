import NixCompat
import Testing

@Suite("store paths")
struct StorePathTests {
  static let netTools = "00bgd045z0d4icpbc2yyz4gx48ak44la-net-tools-1.60_p20170221182432"

  @Test(
    "parse and print",
    arguments: [netTools, "fli4bwscgna7lpm7v5xgnjxrxh0yc7ra-.gitignore"]
  )
  func parsing(baseName: String) throws {
    let path = try StorePath(baseName: baseName)
    #expect(path.baseName == baseName)
    #expect(path.absolutePath == "/nix/store/\(baseName)")
    #expect(try StorePath(absolutePath: "/nix/store/\(baseName)") == path)
    #expect(try StorePath(digest: path.digest, name: path.name) == path)
    #expect(try StorePath(baseName: Array(baseName.utf8)) == path)
  }

  @Test(
    "name the first thing that is wrong",
    arguments: [
      ("", StorePathError.invalidLength(0)),
      ("00bgd045z0d4icpbc2yyz4gx48ak44la-", .invalidLength(33)),
      (
        "00bgd045z0d4icpbc2yyz4gx48ak44l-net",
        .invalidHashEncoding(.invalidCharacter(UInt8(ascii: "-"), position: 31))
      ),
      (
        "00bgd045z0d4icpbc2yyz4gx48aku4la-net-tools",
        .invalidHashEncoding(.invalidCharacter(UInt8(ascii: "u"), position: 28))
      ),
      ("00bgd045z0d4icpbc2yyz4gx48ak44lanet-tools", .missingDash),
      (
        "00bgd045z0d4icpbc2yyz4gx48ak44la-net/bin/arp",
        .invalidName(Array("net/bin/arp".utf8), position: 3)
      ),
      ("00bgd045z0d4icpbc2yyz4gx48ak44la-ä", .invalidName(Array("ä".utf8), position: 0)),
      (
        "00bgd045z0d4icpbc2yyz4gx48ak44la-" + String(repeating: "n", count: 212),
        .invalidLength(212)
      ),
    ]
  )
  func refusals(text: String, error: StorePathError) {
    #expect(throws: error) { try StorePath(baseName: text) }
  }

  @Test("allow names of 1 to 211 bytes")
  func nameLengths() throws {
    let digest = try StorePathDigest(nixBase32: "00bgd045z0d4icpbc2yyz4gx48ak44la")
    for count in [1, 211] {
      let name = String(repeating: "n", count: count)
      #expect(try StorePath(digest: digest, name: name).name == name)
    }
    #expect(throws: StorePathError.invalidLength(0)) { try StorePath(digest: digest, name: "") }
    #expect(throws: StorePathError.invalidLength(212)) {
      try StorePath(digest: digest, name: String(repeating: "n", count: 212))
    }
    #expect(throws: StorePathError.invalidName(Array("a b".utf8), position: 1)) {
      try StorePath(digest: digest, name: "a b")
    }
  }

  @Test("must stand in the store directory")
  func absolute() throws {
    #expect(throws: StorePathError.missingStoreDirectory) {
      try StorePath(absolutePath: "foobar-123")
    }
    #expect(throws: StorePathError.missingStoreDirectory) {
      try StorePath(absolutePath: "/nix/storex\(Self.netTools)")
    }
    #expect(throws: StorePathError.invalidLength(0)) { try StorePath(absolutePath: "/nix/store/") }
    #expect(throws: StorePathError.invalidLength(3)) {
      try StorePath(absolutePath: "/nix/store/foo")
    }
    #expect(throws: StorePathError.self) {
      try StorePath(absolutePath: "/nix/store/\(Self.netTools)/")
    }
  }

  @Test(
    "split off what stands below them",
    arguments: [
      ("", ""), ("/", ""), ("/bin/arp", "bin/arp"), ("/bin/arp/", "bin/arp"), ("//bin", "bin"),
    ]
  )
  func remainder(suffix: String, remainder: String) throws {
    let text = "/nix/store/\(Self.netTools)\(suffix)"
    let (path, rest) = try StorePath.splitting(absolutePath: Array(text.utf8))
    #expect(path.baseName == Self.netTools)
    #expect(rest == Array(remainder.utf8))
    #expect(throws: StorePathError.invalidLength(0)) {
      try StorePath.splitting(absolutePath: Array("/nix/store//\(Self.netTools)".utf8))
    }
  }

  @Test("take their name from the last component of a path")
  func naming() throws {
    let names = [
      ("a/b/../c", "c"), ("a/b/../c/d/../e", "e"), ("/a", "a"), ("a/", "a"), ("./a/.", "a"),
    ]
    for (path, name) in names {
      #expect(try StorePath.name(forPath: Array(path.utf8)) == name)
    }
    for path in ["", "/", ".", "a/b/..", "a/ä", "a/b c"] {
      #expect(throws: StorePathError.self) { try StorePath.name(forPath: Array(path.utf8)) }
    }
    #expect(throws: StorePathError.invalidName([0xff], position: 0)) {
      try StorePath.name(forPath: [0xff])
    }
  }

  @Test("order as their text does")
  func order() throws {
    let digests = [
      "0lk5dgi01r933abzfj9c9wlndg82yd3g", "1xj43bva89f9qmwm37zl7r3d7m67i9ck",
      "2gb633czchi20jq1kqv70rx2yvvgins8", "2vksym3r3zqhp15q3fpvw2mnvffv11b9",
      "5q918awszjcz5720xvpc2czbg1sdqsf0", "7jw30i342sr2p1fmz5xcfnch65h4zbd9",
      "96yqwqhnp3qya4rf4n0rcl0lwvrylp6k", "9gjqg36a1v0axyprbya1hkaylmnffixg",
      "a4i5mci2g9ada6ff7ks38g11dg6iqyb8", "a5g76ljava4h5pxlggz3aqdhs3a4fk6p",
      "db46l7d6nswgz4ffp1mmd56vjf9g51v6", "g6f7w20sd7vwy0rc1r4bfsw4ciclrm4q",
      "iw82n1wwssb8g6772yddn8c3vafgv9np", "lp78d1y5wxpcn32d5c4r7xgbjwiw0cgf",
      "mf00ank13scv1f9l1zypqdpaawjhfr3s", "mpfml61ra7pz90124jx9r3av0kvkz2w1",
      "qhsvwx4h87skk7c4mx0xljgiy3z93i23", "riv7d73adim8hq7i04pr8kd0jnj93nav",
      "s64b9031wga7vmpvgk16xwxjr0z9ln65", "w6svg3m2xdh6dhx0gl1nwa48g57d3hxh",
    ]
    let paths = try digests.map { try StorePath(baseName: "\($0)-name") }
    #expect(paths.reversed().sorted() == paths)
    #expect(try StorePath(baseName: "\(digests[0])-naam") < paths[0])
    #expect(Set(paths).count == paths.count)
  }

  @Test("are computed for texts")
  func texts() throws {
    let foo = try StorePath(name: "foo", text: Array("bar".utf8))
    #expect(foo.baseName == "vxjiwkjkn7x4079qvh1jkl5pn05j2aw0-foo")
    let baz = try StorePath(name: "baz", text: Array(foo.absolutePath.utf8), references: [foo])
    #expect(baz.baseName == "5xd714cbfnkz02h2vbsj4fm03x3f15nf-baz")
    #expect(throws: StorePathError.referencesNotAllowed) {
      let address = ContentAddress.text(SHA256Hasher.hash("bar"))
      return try StorePath(name: "foo", address: address, refersToItself: true)
    }
    #expect(throws: StorePathError.invalidName(Array("a/b".utf8), position: 1)) {
      try StorePath(name: "a/b", text: [])
    }
  }

  @Test("are computed for trees and files with a hash that is known")
  func fixed() throws {
    let sha1 = try NixHash(parsing: "sha1:0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33")
    let bar = try StorePath(name: "bar", address: .recursive(sha1))
    #expect(bar.baseName == "mp57d33657rf34lzvlbpfa1gjfv5gmpg-bar")
    for address in [ContentAddress.recursive(sha1), .flat(sha1)] {
      #expect(throws: StorePathError.referencesNotAllowed) {
        try StorePath(name: "bar", address: address, references: [bar])
      }
      #expect(throws: StorePathError.referencesNotAllowed) {
        try StorePath(name: "bar", address: address, refersToItself: true)
      }
    }
    let sha256 = try NixHash(
      parsing: "sha256:1xqkzcb3909fp07qngljr4wcdnrh1gdam1m2n29i6hhrxlmkgkv1"
    )
    let foo = try StorePath(baseName: "dxwkwjzdaq7ka55pkk252gh32bgpmql4-foo")
    let baz = try StorePath(name: "baz", address: .recursive(sha256), references: [foo, foo])
    #expect(baz.baseName == "s89y431zzhmdn3k8r96rvakryddkpv2v-baz")
    let selfReferring = try StorePath(
      name: "baz",
      address: .recursive(sha256),
      references: [foo],
      refersToItself: true
    )
    #expect(selfReferring != baz)
  }

  struct Sample: Sendable {
    let steps: [NARStep]
    let source, sha512: String
  }

  @Test(
    "are computed for every sample tree",
    arguments: [
      Sample(
        steps: NARSamples.symlink,
        source: "cmc0xpzm4gagvngbm1s8sr3z08zy39a4",
        sha512: "jnc9b1piy9hqlzr4kkkd6z935n514x1s"
      ),
      Sample(
        steps: NARSamples.helloWorld,
        source: "sql3wa6lmri900p6f08aph1w5mjyh9vs",
        sha512: "2575sd9gla9pskzcvk7j5v79mg42k4l4"
      ),
      Sample(
        steps: NARSamples.complicated,
        source: "js9nc31yaxvxcxdp65nzwgbb2zvj0bl0",
        sha512: "cdixdxymj3zb8ng30qzd7yb4a6h07qn2"
      ),
    ]
  )
  func samples(sample: Sample) throws {
    let nar = try NARSamples.encode(sample.steps)
    let source = try StorePath(name: "dummy", sourceNARDigest: SHA256Hasher.hash(nar))
    #expect(source.baseName == "\(sample.source)-dummy")
    let hash = NixHasher.hash(nar, with: .sha512)
    #expect(
      try StorePath(name: "dummy", address: .recursive(hash)).baseName == "\(sample.sha512)-dummy"
    )
  }

  @Test("are computed for plain files")
  func flat() throws {
    let hello = NARSamples.bytes("Hello World!")
    let sha256 = ContentAddress.flat(NixHasher.hash(hello, with: .sha256))
    let md5 = ContentAddress.flat(NixHasher.hash(hello, with: .md5))
    #expect(
      try StorePath(name: "dummy", address: sha256).baseName
        == "wp39jghvhb9x7xa0b27xgn0sz0872wsz-dummy"
    )
    #expect(
      try StorePath(name: "dummy", address: md5).baseName
        == "fzy6jk5w17q80q9x13nwzr2ysn0xh4g9-dummy"
    )
  }

  @Test("leave the output's name away only for the output out")
  func outputs() throws {
    let digest = SHA256Hasher.hash("a derivation")
    let out = try StorePath(derivationName: "hello", output: "out", digest: digest)
    let dev = try StorePath(derivationName: "hello", output: "dev", digest: digest)
    #expect(out.name == "hello")
    #expect(dev.name == "hello-dev")
    #expect(out.digest != dev.digest)
    #expect(
      StorePath.placeholder(forOutput: "out")
        == "/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"
    )
  }
}
