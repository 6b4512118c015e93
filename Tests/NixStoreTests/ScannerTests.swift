import Castore
import CastoreTestSupport
import NixCompat
import NixStore
import NixTestSupport
import Testing

@Suite("The reference scanner")
struct ScannerTests {
  static func paths(_ count: Int) throws -> [StorePath] {
    try (0..<count).map { number in
      let digest = StorePathDigest(compressing: SHA256Hasher.hash("path \(number)").bytes)
      return try StorePath(digest: digest, name: "p\(number)")
    }
  }

  @Test("finds hashes at any place, in pieces of any length", arguments: [1, 5, 31, 32, 33, 1000])
  func pieces(length: Int) throws {
    let paths = try Self.paths(40)
    var generator = SeededGenerator()
    for round in 0..<20 {
      var text: [UInt8] = []
      var expected: Set<StorePath> = []
      for path in paths where generator.next() % 3 == 0 {
        // Between bytes of all sorts, also digits of the same alphabet.
        let filler = Int(generator.next() % 70)
        text +=
          round % 2 == 0
          ? generator.bytes(filler)
          : Array(paths[0].digest.nixBase32.utf8.dropLast().prefix(filler))
        text += Array(path.digest.nixBase32.utf8)
        expected.insert(path)
      }
      // One that lacks a character is none.
      text += Array(paths[1].digest.nixBase32.utf8.dropLast()) + [UInt8(ascii: "-")]
      var scanner = ReferenceScanner(for: paths)
      var start = 0
      while start < text.count {
        let end = min(text.count, start + length)
        scanner.update(Array(text[start..<end]))
        start = end
      }
      #expect(scanner.found == expected, "seed \(generator.seed)")
    }
  }

  @Test("finds hashes that overlap others, and each once")
  func overlaps() throws {
    let whole = Array("0123456789abcdfghijklmnpqrsvwxyz0123".utf8)
    let paths = try (0...4).map { start in
      try StorePath(
        digest: StorePathDigest(nixBase32: Array(whole[start..<(start + 32)]).span),
        name: "n"
      )
    }
    var scanner = ReferenceScanner(for: paths)
    scanner.update(whole)
    #expect(scanner.found == Set(paths))
    var none = ReferenceScanner(for: paths)
    none.update(whole.map { $0 == UInt8(ascii: "g") ? UInt8(ascii: "e") : $0 })
    #expect(none.found.isEmpty)
  }

  @Test("sees through a NAR")
  func sink() throws {
    let paths = try Self.paths(3)
    let store = MemoryStore()
    let digest = store.blobs.insert(Array("see \(paths[1].absolutePath)/bin".utf8))
    let node = NARFixtures.symlink.node
    let size = UInt64("see \(paths[1].absolutePath)/bin".utf8.count)
    var sink = ReferenceScanningSink(ReferenceScanner(for: paths))
    try store.renderer.render(node, to: &sink)
    try store.renderer.render(.file(digest: digest, size: size, isExecutable: false), to: &sink)
    #expect(sink.scanner.found == [paths[1]])
  }
}
