import Foundation
import NixCompat
import Testing

@Suite("NAR listings")
struct NARListingTests {
  static func listing(of steps: [NARStep]) throws -> NARListing {
    var reader = NARReader(ByteArraySource(try NARSamples.encode(steps)))
    return try NARListing(reading: &reader)
  }

  static let complicated =
    #"{"root":{"entries":{".keep":{"narOffset":232,"size":0,"type":"regular"},"#
    + #""aa":{"target":"/nix/store/somewhereelse","type":"symlink"},"#
    + #""keep":{"entries":{".keep":{"narOffset":760,"size":0,"type":"regular"}},"#
    + #""type":"directory"}},"type":"directory"},"version":1}"#

  @Test("are printed and read")
  func roundTrip() throws {
    let listing = try Self.listing(of: NARSamples.complicated)
    #expect(try listing.json() == Self.complicated)
    #expect(try NARListing(json: Self.complicated) == listing)
    for steps in [NARSamples.symlink, NARSamples.helloWorld, NARSamples.diverse] {
      let listing = try Self.listing(of: steps)
      #expect(listing.items.map(\.event) == steps.map(\.event))
      #expect(try NARListing(json: Array(listing.json().utf8)) == listing)
    }
  }

  @Test("may have their keys in any order, white space, escapes and more keys")
  func liberties() throws {
    let text = #"""
      { "other": [1, {"a": "]}\""}, -1.5E+3, null], "version": 1,
        "root": {"type": "directory", "more": {}, "entries": {
          "\u0061\/\ud83d\ude00": {"size": 1, "type": "regular", "executable": true} } } }
      """#
    // The slash is there to see that names are checked.
    let error = #expect(throws: NARListingError.self) { try NARListing(json: text) }
    let name = Array("a/😀".utf8)
    #expect(error == .malformedTree(.invalidName(name)))
    let listing = try NARListing(json: text.replacing(#"\/"#, with: ""))
    #expect(
      listing.items.map(\.event) == [
        .directoryStart, .entry(name: Array("a😀".utf8)), .file(size: 1, isExecutable: true),
        .directoryEnd,
      ]
    )
    #expect(listing.items[2].narOffset == nil)
  }

  @Test("print every control character in a way that JSON knows")
  func escapes() throws {
    let name = Array(1...0x2e) + Array(0x30...0x7f) + Array("é名😀".utf8)
    var listing = NARListing()
    try listing.append(.directoryStart)
    try listing.append(.entry(name: name))
    try listing.append(.symlink(target: name))
    try listing.append(.directoryEnd)
    let json = try listing.json()
    #expect(try NARListing(json: json) == listing)
    let object = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any]
    let root = try #require(object?["root"] as? [String: Any])
    let entries = try #require(root["entries"] as? [String: Any])
    #expect(entries.keys.map { Array($0.utf8) } == [name])
  }

  @Test("cannot hold what is not UTF-8, nor half a tree")
  func refusals() throws {
    var listing = NARListing()
    #expect(throws: NARListingError.malformedTree(.unexpectedEnd)) { try listing.json() }
    try listing.append(.symlink(target: [0xff]))
    #expect(throws: NARListingError.notUTF8([0xff])) { try listing.json() }
    #expect(throws: NARListingError.malformedTree(.eventOutOfPlace("a symlink"))) {
      try listing.append(.symlink(target: [0xff]))
    }
  }

  @Test("nest without stack")
  func nesting() throws {
    let depth = 20_000
    var listing = NARListing()
    for level in 0..<depth {
      if level > 0 { try listing.append(.entry(name: [UInt8(ascii: "d")])) }
      try listing.append(.directoryStart)
    }
    for _ in 0..<depth { try listing.append(.directoryEnd) }
    let json = try listing.json()
    #expect(try NARListing(json: json) == listing)
    #expect(throws: NARListingError.malformedTree(.tooDeep(limit: 100))) {
      try NARListing(json: json, maximumDepth: 100)
    }
    let brackets = String(repeating: "[", count: 200_000)
    #expect(throws: NARListingError.self) { try NARListing(json: "{\"a\":\(brackets)") }
  }

  @Test(
    "malformed ones are refused",
    arguments: [
      "", "{", "{}", "[]", "null", #"{"version":1}"#, #"{"root":{},"version":1}"#,
      #"{"root":{"type":"symlink","target":"a"}}"#,
      #"{"root":{"type":"symlink","target":"a"},"version":2}"#,
      #"{"root":{"type":"symlink","target":"a"},"version":1}x"#,
      #"{"root":{"type":"symlink","target":"a"},"version":1,}"#,
      #"{"root":{"type":"symlink","target":"a"},"root":{},"version":1}"#,
      #"{"root":{"type":"symlink","target":""},"version":1}"#,
      #"{"root":{"type":"symlink"},"version":1}"#,
      #"{"root":{"type":"regular","size":-1},"version":1}"#,
      #"{"root":{"type":"regular","size":1,"size":1},"version":1}"#,
      #"{"root":{"type":"regular","size":1,"target":"a"},"version":1}"#,
      #"{"root":{"type":"regular","entries":{}},"version":1}"#,
      #"{"root":{"type":"directory"},"version":1}"#,
      #"{"root":{"type":"socket"},"version":1}"#,
      #"{"root":{"type":"directory","entries":{"a":1}},"version":1}"#,
      #"{"root":{"type":"directory","entries":{"..":{}}},"version":1}"#,
      #"{"root":{"type":"symlink","target":"\ud800"},"version":1}"#,
      #"{"root":{"type":"symlink","target":"\udc00"},"version":1}"#,
      #"{"root":{"type":"symlink","target":"\x"},"version":1}"#,
      "{\"root\":{\"type\":\"symlink\",\"target\":\"a\nb\"},\"version\":1}",
      #"{"a":[},"root":{"type":"symlink","target":"a"},"version":1}"#,
    ]
  )
  func malformed(text: String) {
    #expect(throws: NARListingError.self) { try NARListing(json: text) }
  }

  @Test("every truncation and many mutations give an error or a listing")
  func mutations() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededRandom(seed: seed)
    let text = Array(Self.complicated.utf8)
    for count in 0..<text.count {
      #expect(throws: NARListingError.self) { try NARListing(json: Array(text[..<count])) }
    }
    let interesting = Array(#"{}[]",:\u0 "#.utf8)
    for round in 0..<3000 {
      var bytes = text
      for _ in 0...Int.random(in: 0..<3, using: &random) {
        let position = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[position] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes[position] = interesting[round % interesting.count]
        case 2: bytes.remove(at: position)
        default: bytes.insert(interesting[round % interesting.count], at: position)
        }
      }
      guard let listing = try? NARListing(json: bytes) else { continue }
      #expect(
        try NARListing(json: listing.json()) == listing,
        "seed \(seed), round \(round)"
      )
    }
  }

  @Test("say the same as Nix does")
  func realNix() throws {
    try withTemporaryFolder { folder in
      var source = ByteArraySource(try NARSamples.encode(NARSamples.diverse))
      let file = try FileOnDisk.create("\(folder)/tree.nar", from: &source)
      let theirs = try NixTool.line("nix", ["nar", "ls", "--json", "-R", file, "/"], in: folder)
      // Nix prints the root alone.
      let listing = try NARListing(json: "{\"version\":1,\"root\":\(theirs)}")
      #expect(try listing == Self.listing(of: NARSamples.diverse))
    }
  }
}
