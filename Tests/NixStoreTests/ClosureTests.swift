import NixCompat
import NixStore
import Testing

@Suite("Closures as Nix prints them")
struct ClosureTests {
  static let zeros = String(repeating: "0", count: 32)
  static let ones = String(repeating: "1", count: 32)
  static let hash = "sha256-E73Nt0NAKGxCnsyBFDUaCAbA+wiF5qjq1O9J7WrnT0E="

  static func entry(_ name: String, _ references: [String], _ more: String = "") -> String {
    let list = references.map { "\"/nix/store/\($0)\"" }.joined(separator: ",")
    return """
      {"path":"/nix/store/\(name)","narHash":"\(hash)","narSize":5,"references":[\(list)]\(more)}
      """
  }

  @Test("the published examples are read")
  func examples() throws {
    let text = """
      {"closure":[
        {"closureSize": 10756176,
         "deriver": "/nix/store/vs9976cyyxpykvdnlv7x85fpp3shn6ij-libcxx-16.0.6.drv",
         "narHash": "\(Self.hash)", "narSize": 7020664,
         "path": "/nix/store/z6r3bn5l51679pwkvh9nalp6c317z34m-libcxx-16.0.6-dev",
         "references": [], "registrationTime": 1, "valid": true,
         "signatures": ["cache.nixos.org-1:cTdhK6hnpPwtMXFX43CYb7v+CbpAusVI/MORZ3v5aHvpBYNg1MfBHVVeoexMBpNtHA8uFAn0aEsJaLXYIDhJDg=="]},
        {"closureSize": 1828984,
         "narHash": "sha256:11vm2x1ajhzsrzw7lsyss51mmr3b6yll9wdjn51bh7liwkpc8ila",
         "narSize": 1828984,
         "path": "/nix/store/7n0mbqydcipkpbxm24fab066lxk68aqk-libunistring-1.1",
         "references": ["/nix/store/7n0mbqydcipkpbxm24fab066lxk68aqk-libunistring-1.1"]}
      ]}
      """
    let entries = try ClosureDocument(parsing: Array(text.utf8)).entries
    #expect(entries.map(\.narSize) == [7_020_664, 1_828_984])
    #expect(entries[0].deriver?.name == "libcxx-16.0.6")
    #expect(entries[0].signatures.count == 1)
    #expect(
      entries[0].narHash?.hexadecimal
        == "13bdcdb74340286c429ecc8114351a0806c0fb0885e6a8ead4ef49ed6ae74f41"
    )
    #expect(
      entries[1].narHash?.hexadecimal
        == "8a46c4eee4911eb842b1b2f144a9376be45a43d1da6b7af8cffa43a942177587"
    )
    #expect(entries[1].references == [entries[1].storePath])
  }

  @Test("all forms give the entries in the order of their references")
  func order() throws {
    let (a, b, c) = ("\(Self.zeros)-a", "\(Self.zeros.dropLast())1-b", "\(Self.ones)-c")
    let list = [
      Self.entry(a, [b, c, a], ",\"deriver\":null,\"ca\":null,\"x\":{\"y\":[1,{}]}"),
      Self.entry(b, [c]), Self.entry(c, []),
    ]
    let members = zip([a, b, c], list).map { "\"/nix/store/\($0)\":\($1)" }
    for text in [
      "[\(list.joined(separator: ","))]", "{\(members.joined(separator: ", "))}",
      "{\"name\":\"x\",\"graph\":[\(list.joined(separator: ","))],\"n\":1}",
    ] {
      let document = try ClosureDocument(parsing: Array(text.utf8))
      #expect(document.entries.map(\.storePath.name) == ["c", "b", "a"])
    }
    #expect(try ClosureDocument(parsing: Array(" [] ".utf8)).entries.isEmpty)
  }

  /// The fields of an entry without its path.
  static func inner(_ references: [String], _ more: String = "") -> String {
    let list = references.map { "\"/nix/store/\($0)\"" }.joined(separator: ",")
    return "{\"narHash\":\"\(hash)\",\"narSize\":5,\"references\":[\(list)]\(more)}"
  }

  @Test("the formats of newer versions of Nix are read")
  func newer() throws {
    let (a, b) = ("\(Self.zeros)-a", "\(Self.ones)-b")
    let byPath = "{\"/nix/store/\(a)\":\(Self.inner([b])),\"/nix/store/\(b)\":\(Self.inner([]))}"
    let parts = Self.hash.split(separator: "-", maxSplits: 1)
    let hash = """
      {"algorithm":"sha256","format":"base64","hash":"\(parts[1])"}
      """
    func second(_ references: String, _ more: String) -> String {
      """
      {"narHash":\(hash),"narSize":5,"references":[\(references)],"storeDir":"/nix/store","version":2,
       "registrationTime":1,"ultimate":false,"deriver":"\(b).drv"\(more)}
      """
    }
    let info = """
      {"info":{"\(a)":\(second("\"\(b)\"", ",\"ca\":null,\"signatures\":[]")),
       "\(b)":\(second("", ",\"ca\":{\"method\":\"nar\",\"hash\":\(hash)}"))},
       "storeDir":"/nix/store","version":2}
      """
    for (text, isSecond) in [(byPath, false), (info, true)] {
      let entries = try ClosureDocument(parsing: Array(text.utf8)).entries
      #expect(entries.map(\.storePath.name) == ["b", "a"])
      #expect(
        entries.allSatisfy { $0.narHash.map { NixHash($0).sri } == Self.hash && $0.narSize == 5 }
      )
      guard isSecond else { continue }
      #expect(entries[0].deriver?.name == "b")
      #expect(try entries[0].contentAddress == .recursive(NixHash(parsing: Self.hash)))
    }
    #expect(try ClosureDocument(parsing: Array("{}".utf8)).entries.isEmpty)
  }

  @Test("the attributes of a derivation are read, with all graphs that are among them")
  func attributes() throws {
    let (a, b) = ("\(Self.zeros)-a", "\(Self.ones)-b")
    let text = """
      {"buildInputs":[],"builder":"/bin/sh","closure":[\(Self.entry(a, [b])),\(Self.entry(b, []))],
       "env":{},"exportReferencesGraph":{"closure":["/nix/store/\(a)"]},"info":{"x":1},
       "nativeBuildInputs":["/nix/store/\(b)"],"other":[\(Self.entry(b, []))],"outputs":["out"],
       "services":[{"name":"x"},{"path":"y"}],"table":[[1],{}],"version":"1.2"}
      """
    let entries = try ClosureDocument(parsing: Array(text.utf8)).entries
    #expect(entries.map(\.storePath.name) == ["b", "a"])
  }

  @Test("the text in which Nix registers paths is read, with hashes and without")
  func registration() throws {
    let (a, b) = ("\(Self.zeros)-a", "\(Self.ones)-b")
    for hash in [
      "", "13bdcdb74340286c429ecc8114351a0806c0fb0885e6a8ead4ef49ed6ae74f41\n5\n",
      "\(Self.hash)\n5\n",
    ] {
      let text = """
        /nix/store/\(a)
        \(hash)/nix/store/\(b).drv
        2
        /nix/store/\(a)
        /nix/store/\(b)
        /nix/store/\(b)
        \(hash)
        0

        """
      let entries = try ClosureDocument(parsing: Array(text.utf8)).entries
      #expect(entries.map(\.storePath.name) == ["b", "a"])
      #expect(entries[1].deriver?.name == "b" && entries[0].deriver == nil)
      #expect(entries.allSatisfy { ($0.narSize == 5) == !hash.isEmpty })
      #expect(entries[0].narHash.map { NixHash($0).sri } == (hash.isEmpty ? nil : Self.hash))
    }
  }

  @Test("what is not a closure is an error that says why")
  func flaws() throws {
    let (a, b) = ("\(Self.zeros)-a", "\(Self.ones)-b")
    for (text, part) in [
      ("", "byte 0"), ("[", "byte 1"), ("[{}]", "path of entry 1"), ("[] x", "after the end"),
      ("[\(Self.entry(a, [b]))]", "lacks"),
      ("[\(Self.entry(a, [b])),\(Self.entry(b, [a]))]", "refers to itself"),
      ("[\(Self.entry(a, [])),\(Self.entry(a, []))]", "twice"),
      ("[\(Self.entry("nothing", []))]", "path of"),
      ("[\(Self.entry(a, [], ",\"deriver\":\"/nix/store/\(b)\""))]", ".drv"),
      ("[\(Self.entry(a, [], ",\"signatures\":[\"x\"]"))]", "signatures of"),
      ("[\(Self.entry(a, [], ",\"ca\":\"x\""))]", "ca of"),
      ("[{\"path\":\"/nix/store/\(a)\",\"valid\":false}]", "narHash of"),
      ("{\"/nix/store/\(a)\":null}", "everything of"),
      ("{\"a\":[],\"b\":[]}", "nothing in this object"),
      ("{\"version\":99,\"something\":{\"else\":1}}", "version 99"),
      ("{\"version\":2,\"info\":{\"x\":[]}}", "malformed JSON"),
      ("{\"version\":2,\"info\":1}", "version 2"),
      (
        "{\"version\":2,\"storeDir\":\"/else\",\"info\":{\"\(a)\":\(Self.inner([]))}}",
        "storeDir of"
      ),
      ("{\"closure\":[{\"path\":1,\"narHash\":\"\(Self.hash)\"}]}", "byte 20"),
      ("/nix/store/\(a)", "line's end"), ("/nix/store/\(a)\n\n7\n", "expected a reference"),
      ("/nix/store/\(a)\nsha256:0\nx\n\n0\n", "size of a NAR"),
      ("/nix/store/\(a)\nx\n5\n\n0\n", "narHash of"),
    ] {
      let error = #expect(throws: ClosureError.self) {
        try ClosureDocument(parsing: Array(text.utf8))
      }
      #expect(error?.description.contains(part) == true, "\(error.map { "\($0)" } ?? "")")
    }
    // Cut off anywhere it is none, and never crashes.
    let whole = Array("[\(Self.entry(a, [b], ",\"ca\":null")),\(Self.entry(b, []))]".utf8)
    for end in whole.indices {
      #expect(throws: ClosureError.self) { try ClosureDocument(parsing: Array(whole[..<end])) }
    }
  }
}
